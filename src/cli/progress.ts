/** Progress on stderr: one moving line on a terminal, a few plain lines in a pipe, nothing beside JSON. */

export interface Progress {
  say(line: string): void;
  show(returned: number, total: number): void;
  end(): void;
}

const width = 30;
const plainSteps = 4;

export function progressLine(quiet: boolean): Progress {
  const { stderr } = process;
  const started = performance.now();
  let shown = "";
  let step = 0;
  return {
    say: (line) => {
      if (!quiet) stderr.write(`${line}\n`);
    },
    show: (returned, total) => {
      if (quiet || total === 0) return;
      const seconds = ((performance.now() - started) / 1_000).toFixed(1);
      const text = `${returned} of ${total} operations returned, ${seconds} s`;
      if (stderr.isTTY) {
        const full = Math.round((returned / total) * width);
        const line = `\r[${"#".repeat(full)}${".".repeat(width - full)}] ${text}`;
        if (line !== shown) stderr.write(line);
        shown = line;
      } else if (returned >= (total * (step + 1)) / plainSteps) {
        step = Math.floor((returned / total) * plainSteps);
        stderr.write(`${text}\n`);
      }
    },
    end: () => {
      if (!quiet && stderr.isTTY && shown !== "") stderr.write("\n");
    },
  };
}

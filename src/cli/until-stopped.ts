/** Waiting for somebody to say that it is enough. */

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One Ctrl-C may arrive twice: from the terminal, and handed on by a program around this one, as npx does. In ms. */
const echoMs = 1_000;

/**
 * Runs until Ctrl-C, SIGTERM or the end of the terminal, then `stop`s. A second signal, a moment later, does not wait for it.
 *
 * @returns when `stop` is done
 */
export async function untilStopped(stop: () => Promise<void>): Promise<void> {
  let heard: (() => void) | undefined;
  const asked = new Promise<void>((resolve) => {
    heard = resolve;
  });
  let firstAt: number | undefined;
  const onSignal = (): void => {
    if (firstAt !== undefined && performance.now() - firstAt > echoMs) process.exit(130);
    firstAt ??= performance.now();
    heard?.();
  };
  for (const signal of signals) process.on(signal, onSignal);
  // The promise alone would not keep the process alive.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    await asked;
    await stop();
  } finally {
    clearInterval(alive);
    for (const signal of signals) process.off(signal, onSignal);
  }
}

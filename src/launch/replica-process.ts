/** A replica of a laboratory set as a process of its own, at the other end of the launcher's channel. `traitor-main.ts` is another program. */
import type { FromChild, ToChild } from "./child-messages.ts";
import { isLabError, LaboratoryReplica, oneLine, type WrapByTask } from "./laboratory-replica.ts";

/** Serves one task from the launcher, to the end of the process. */
export function serveReplica(wrap: WrapByTask = (core) => core): void {
  let replica: LaboratoryReplica | undefined;
  const hear = async (message: ToChild): Promise<void> => {
    if (message.type === "task") {
      replica = new LaboratoryReplica(message, wrap, tell);
      await replica.start();
    } else if (message.type === "stop") {
      await replica?.stop();
      process.exit(0);
    } else replica?.hear(message);
  };
  const fail = (error: unknown): void => {
    const last = replica?.fail(error) ?? early(error);
    if (process.connected) process.send?.(last, () => process.exit(3));
    else process.exit(3);
  };
  process.on("message", (message: ToChild) => {
    hear(message).catch(fail);
  });
  process.on("uncaughtException", fail);
  // The launcher died: no orphan stays behind.
  process.on("disconnect", () => process.exit(0));
  // Ctrl-C reaches the whole process group; the launcher decides when its children stop.
  process.on("SIGINT", () => undefined);
}

function early(error: unknown): FromChild {
  const { code, message, exitCode } = isLabError(error) ? error : { code: "replica-failed", message: "", exitCode: 3 as const };
  return { type: "failed", code, message: message || `a replica failed: ${oneLine(String(error))}`, exitCode };
}

function tell(message: FromChild): void {
  // The launcher may be gone already: then the channel's end is told next, and there is nobody to hear this.
  if (process.connected) process.send?.(message, () => undefined);
}

/** What a replica of a set runs in: a process of its own, or the launcher's. */
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LabError } from "../core/lab-error.ts";
import type { Behaviour } from "../traitors/behaviour.ts";
import { betrayed } from "./betrayed.ts";
import type { FromChild, ReplicaTask, ToReplica, TraitorTask } from "./child-messages.ts";
import { LaboratoryReplica } from "./laboratory-replica.ts";

/** How a replica is to lie. `module`: where a process finds behaviours again that are not plain data. */
export interface TraitorPart {
  readonly behaviours: readonly Behaviour[];
  readonly module?: string;
}

export interface BodyEvents {
  hear(message: FromChild): void;
  /** It is gone, and why; the last call. */
  ended(why: string): void;
}

/** A replica that was started. */
export interface Body {
  /** Of its own process; undefined when it has none. */
  readonly pid: number | undefined;
  /** Resolves when nothing is left of it, and its port is free. */
  readonly gone: Promise<void>;
  send(message: ToReplica): void;
  /** At once, without a word. */
  kill(): void;
  /** @returns whether it was there to be paused. @throws LabError where it cannot be paused alone */
  pause(): boolean;
  resume(): void;
}

export type Embody = (task: ReplicaTask, traitor: TraitorPart | undefined, events: BodyEvents) => Body;

/** A process: it can be killed and paused for real, and what it does wrong stays its own. */
export const inProcessOfItsOwn: Embody = (task, traitor, events) => {
  const child = fork(programPath(traitor ? "traitor-main" : "honest-main"), [], {
    execArgv: sourceFlags(),
    serialization: "advanced",
    // What a traitor of the user's own prints is for people: the launcher's stdout may be JSON.
    stdio: ["ignore", 2, 2, "ipc"],
  });
  child.on("message", (message: FromChild) => events.hear(message));
  const gone = new Promise<void>((resolve) => {
    let failed: string | undefined;
    child.on("error", (error) => {
      failed = error.message;
      // One that never started does not close either.
      if (child.pid === undefined) resolve(events.ended(failed));
    });
    // Not "exit": what the child told last may then still be on its way.
    child.once("close", (code, signal) => resolve(events.ended(failed ?? signal ?? `exit code ${code}`)));
  });
  child.send(traitor ? ({ ...task, ...traitor } as TraitorTask) : task);
  return {
    pid: child.pid,
    gone,
    send: (message) => {
      if (child.connected) child.send(message);
    },
    kill: () => child.kill("SIGKILL"),
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
  };
};

/** In the launcher's process: quick to start and open to a debugger. Links are real all the same. */
export const inThisProcess: Embody = (task, traitor, events) => {
  const replica = new LaboratoryReplica(
    task,
    (core, own, handed) => (traitor ? betrayed(core, own, handed, traitor.behaviours) : core),
    (message) => events.hear(message),
  );
  let end: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => {
    end = resolve;
  });
  const ended = (why: string): void => {
    events.ended(why);
    end?.();
  };
  // On a later turn, as a process would: whoever started it knows it by then.
  setImmediate(() => {
    replica.start().catch((error: unknown) => {
      events.hear(replica.fail(error));
      ended("it could not start");
    });
  });
  return {
    pid: undefined,
    gone,
    send: (message) => {
      if (message.type === "stop") void replica.stop().then(() => ended("stopped"));
      else replica.hear(message);
    },
    kill: () => void replica.kill().then(() => ended("killed")),
    pause: () => {
      throw new LabError("needs-process", "a replica within the launcher's process cannot be paused alone: launch without inProcess");
    },
    resume: () => undefined,
  };
};

/** From sources a child needs the loader; from the build it does not. */
export function sourceFlags(): string[] {
  return import.meta.url.endsWith(".ts") ? ["--import", import.meta.resolve("tsx"), "--conditions=quorate-source"] : [];
}

export function programPath(name: string): string {
  const source = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  return existsSync(source) ? source : source.replace(/\.ts$/, ".js");
}

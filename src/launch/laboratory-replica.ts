/**
 * A replica of a laboratory set: a {@link ReplicaNode} with a trace file and the network's faults in front of its links, told what to
 * do by its launcher, from another process or from the same. It has no knob that weakens the replica.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { pino } from "pino";
import { type NodeName, replicaName } from "../core/ids.ts";
import type { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import { createRandom } from "../core/random.ts";
import { recordOfMessage, recordsOf } from "../harness/recording.ts";
import { createLog } from "../node/log.ts";
import type { HostWatcher } from "../node/replica-host.ts";
import type { PbftMessage, PbftRecord } from "../protocols/pbft/index.ts";
import { NetworkFaults, withFaults } from "../transport/faulty.ts";
import { createTransport } from "../transport/transport.ts";
import type { FromChild, ReplicaTask, Told } from "./child-messages.ts";
import { monotonicMs, type PbftCore, ReplicaNode, replicaFile, type WrapCore } from "./replica-node.ts";
import { TraceWriter } from "./trace-writer.ts";

/** As {@link WrapCore}, by the task that the launcher gave. */
export type WrapByTask = (core: PbftCore, task: ReplicaTask, handed: Parameters<WrapCore>[1]) => ReturnType<WrapCore>;

/** How often the launcher hears how far the replica has got, in ms. */
const stateIntervalMs = 50;

export class LaboratoryReplica {
  readonly #task: ReplicaTask;
  readonly #wrap: WrapByTask;
  readonly #tell: (message: FromChild) => void;
  readonly #trace: TraceWriter | undefined;
  readonly #faults: NetworkFaults;
  readonly #urls = new Map<number, string>();
  #node: ReplicaNode | undefined;
  #origin: number | undefined;
  #reporting: NodeJS.Timeout | undefined;

  constructor(task: ReplicaTask, wrap: WrapByTask, tell: (message: FromChild) => void) {
    this.#task = task;
    this.#wrap = wrap;
    this.#tell = tell;
    this.#trace = task.trace ? new TraceWriter(replicaFile(task.directory, task.id, "jsonl")) : undefined;
    this.#faults = new NetworkFaults({
      random: createRandom(task.seed).fork(`network of ${replicaName(task.id)}`),
      // Until the run has an origin nothing is lost: links are being opened.
      now: () => (this.#origin === undefined ? 0 : monotonicMs() - this.#origin),
    });
    this.#faults.setNetwork(task.network);
  }

  /** Listens, and tells so. @throws LabError when it cannot */
  async start(): Promise<void> {
    const { id, file, secret, port, tls, penalties, incarnation } = this.#task;
    const node = await ReplicaNode.create({
      id,
      file,
      secret,
      log: this.#createLog(),
      listen: { port },
      ...(tls && { tls }),
      // Nobody is called before the launcher says where everybody listens: the file's ports need not be the true ones.
      urlOf: (replica) => this.#urls.get(replica) ?? (replica === id ? (file.members[id]?.url as string) : ""),
      penalties,
      createTransport: withFaults(createTransport, this.#faults),
      wrap: (core, handed) => this.#wrap(core, this.#task, handed),
      ...(this.#trace && { watcher: traced(this.#trace, replicaName(id)) }),
      onLinks: (open) => this.#tell({ type: "links", ...open }),
      ownProcess: this.#task.ownProcess,
    });
    this.#node = node;
    this.#trace?.write({ at: monotonicMs(), node: replicaName(id), event: "start", incarnation });
    const listening = await node.start();
    this.#report(node);
    this.#tell({ type: "listening", port: listening });
  }

  hear(message: Told): void {
    switch (message.type) {
      case "peers":
        for (const [id, url] of message.urls.entries()) this.#urls.set(id, url);
        return;
      case "origin":
        this.#origin = message.at;
        return;
      case "block":
        return this.#faults.block(message);
      case "network":
        return this.#faults.setNetwork(message.network);
      case "flush":
        this.#trace?.flush();
        return this.#tell({ type: "flushed" });
    }
  }

  /** Ends in an orderly way. @returns when every socket is closed */
  async stop(): Promise<void> {
    clearInterval(this.#reporting);
    this.#node?.halt();
    this.#trace?.write({ at: monotonicMs(), node: replicaName(this.#task.id), event: "stop" });
    await this.#node?.stop();
    this.#trace?.close();
  }

  /** Ends as if killed, except that it lives in a process that goes on: it says nothing more, and its sockets close. */
  async kill(): Promise<void> {
    clearInterval(this.#reporting);
    this.#node?.halt();
    this.#trace?.close();
    await this.#node?.abandon();
  }

  /** Met a bug and does nothing more. @returns what the launcher is told: one line; the stack goes beside the trace */
  fail(error: unknown): Extract<FromChild, { type: "failed" }> {
    clearInterval(this.#reporting);
    this.#node?.halt();
    this.#trace?.flush();
    if (isLabError(error)) return { type: "failed", code: error.code, message: error.message, exitCode: error.exitCode };
    const { id, directory } = this.#task;
    const path = replicaFile(directory, id, "crash.txt");
    writeFileSync(path, `${error instanceof Error ? error.stack : error}\n`);
    const message = `replica ${id} failed: ${oneLine(String(error))} (${path} has the stack)`;
    return { type: "failed", code: "replica-failed", message, exitCode: 3 };
  }

  #createLog() {
    const { id, directory, log } = this.#task;
    const dest = log.to === "stderr" ? 2 : replicaFile(directory, id, "log");
    const destination = pino.destination({ dest, append: true, sync: true });
    return createLog({ node: replicaName(id), level: log.level, pretty: log.pretty, destination });
  }

  #report(node: ReplicaNode): void {
    const told = { view: -1, executed: -1, stable: -1 };
    this.#reporting = setInterval(() => {
      const { view, executed, stable, active, halted } = node.state;
      if (told.view === view && told.executed === executed && told.stable === stable) return;
      Object.assign(told, { view, executed, stable });
      this.#tell({ type: "state", view, executed, stable, active, halted });
    }, stateIntervalMs).unref();
  }
}

/** By name: a custom traitor's file may have loaded its own copy of the class. */
export function isLabError(error: unknown): error is LabError {
  return error instanceof Error && error.name === "LabError";
}

export const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim();

/** First 8 bytes of SHA-256 of the frame, in hex. */
export function frameId(frame: Uint8Array): string {
  return createHash("sha256").update(frame).digest("hex").slice(0, 16);
}

function traced(trace: TraceWriter, node: NodeName): HostWatcher<PbftMessage, PbftRecord> {
  const message = (event: "send" | "receive", from: NodeName, to: NodeName, signed: Signed<AnyMessage>, frame: Uint8Array) =>
    trace.write(recordOfMessage(event, monotonicMs(), { id: frameId(frame), bytes: frame.length, from, to }, signed.message));
  return {
    sent: (from, to, signed, frame) => message("send", from, to, signed, frame),
    received: (from, to, signed, frame) => message("receive", from, to, signed, frame),
    did: (effect) => {
      for (const record of recordsOf(effect, node, monotonicMs())) trace.write(record);
    },
  };
}

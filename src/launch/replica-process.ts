/**
 * What a replica process of a laboratory run does: the node host over real sockets, its trace file, and the network's faults in
 * front of its links. It has no knob that weakens the replica; `traitor-main.ts` is another program.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { pino } from "pino";
import type { Core } from "../core/contract.ts";
import { type NodeName, replicaId, replicaName } from "../core/ids.ts";
import type { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import { createRandom } from "../core/random.ts";
import { nativeDigest, nativeScheme } from "../crypto/native.ts";
import { recordOfMessage, recordsOf } from "../harness/recording.ts";
import { createLog, logEffect } from "../node/log.ts";
import { ReplicaHost } from "../node/replica-host.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../protocols/pbft/index.ts";
import { createKeyValueStore } from "../services/key-value.ts";
import { MemoryStorage } from "../storage/memory.ts";
import { NetworkFaults, withFaults } from "../transport/faulty.ts";
import { peerName } from "../transport/peer.ts";
import { createTransport, type Transport } from "../transport/transport.ts";
import { createOpener } from "../wire/open.ts";
import { hexToBytes } from "../wire/schema.ts";
import { createReplicaSeal } from "../wire/seal.ts";
import type { FromChild, ReplicaTask, ToChild } from "./child-messages.ts";
import { toCluster } from "./cluster-file.ts";
import { TraceWriter } from "./trace-writer.ts";

/** Half the width of the wall interval, in ms: processes of one machine share its clock. */
const wallUncertaintyMs = 5;
/** How often the launcher hears how far the replica has got, in ms. */
const stateIntervalMs = 50;

type PbftCore = Core<PbftMessage, PbftRecord>;
/** Puts something around the honest core; an honest process leaves it as it is. */
export type WrapCore = (core: PbftCore, task: ReplicaTask, handed: Parameters<typeof pbft.createCore>[0]) => PbftCore | Promise<PbftCore>;

/** Serves one task from the launcher, to the end of the process. */
export function serveReplica(wrap: WrapCore = (core) => core): void {
  const child = new ReplicaProcess(wrap);
  const fail = (error: unknown) => child.fail(error);
  process.on("message", (message: ToChild) => {
    child.hear(message).catch(fail);
  });
  process.on("uncaughtException", fail);
  // The launcher died: no orphan stays behind.
  process.on("disconnect", () => process.exit(0));
  // Ctrl-C reaches the whole process group; the launcher decides when its children stop.
  process.on("SIGINT", () => undefined);
}

class ReplicaProcess {
  readonly #wrap: WrapCore;
  #task: ReplicaTask | undefined;
  #parts: Parts | undefined;
  #origin: number | undefined;

  constructor(wrap: WrapCore) {
    this.#wrap = wrap;
  }

  async hear(message: ToChild): Promise<void> {
    switch (message.type) {
      case "task": {
        this.#task = message;
        this.#parts = await build(message, this.#wrap, () => this.#origin);
        const port = await this.#parts.transport.listen();
        this.#parts.host.start(this.#parts.transport);
        this.#parts.report();
        return tell({ type: "listening", port });
      }
      case "peers":
        for (const [id, url] of message.urls.entries()) this.#parts?.urls.set(id, url);
        return;
      case "origin":
        this.#origin = message.at;
        return;
      case "block":
        return this.#parts?.faults.block(message);
      case "stop":
        this.#parts?.host.stop();
        this.#parts?.trace.write({ at: monotonicMs(), node: replicaName(this.#task?.id ?? 0), event: "stop" });
        await this.#parts?.transport.close();
        this.#parts?.trace.close();
        return process.exit(0);
    }
  }

  /** A node that met a bug does nothing more. The user hears one line; the stack goes beside the trace. */
  fail(error: unknown): void {
    this.#parts?.host.stop();
    const message: FromChild = { type: "failed", ...this.#told(error) };
    if (process.connected) process.send?.(message, () => process.exit(3));
    else process.exit(3);
    this.#parts?.trace.flush();
  }

  /** By name: a custom traitor's file may have loaded its own copy of the class. */
  #told(error: unknown): Pick<LabError, "code" | "message" | "exitCode"> {
    if (error instanceof Error && error.name === "LabError") {
      const { code, message, exitCode } = error as LabError;
      return { code, message, exitCode };
    }
    const what = oneLine(String(error));
    const stack = error instanceof Error ? error.stack : what;
    if (!this.#task) return { code: "replica-failed", message: `a replica failed: ${what}`, exitCode: 3 };
    const { id, tracePath } = this.#task;
    const path = tracePath.replace(/jsonl$/, "crash.txt");
    writeFileSync(path, `${stack}\n`);
    return { code: "replica-failed", message: `replica ${id} failed: ${what} (${path} has the stack)`, exitCode: 3 };
  }
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim();

interface Parts {
  readonly host: ReplicaHost<PbftMessage, PbftRecord>;
  readonly transport: Transport;
  readonly faults: NetworkFaults;
  readonly trace: TraceWriter;
  readonly urls: Map<number, string>;
  report(): void;
}

async function build(task: ReplicaTask, wrap: WrapCore, origin: () => number | undefined): Promise<Parts> {
  const self = replicaId(task.id);
  const node = replicaName(self);
  const cluster = toCluster(task.file);
  const trace = new TraceWriter(task.tracePath);
  const log = createLog(node, pino.destination({ dest: task.tracePath.replace(/\.jsonl$/, ".log"), append: true, sync: true }));
  const now = monotonicMs;
  const replicaKeys = task.file.members.map(({ publicKey }) => hexToBytes(publicKey));
  const clientKeys = task.file.clients.map(({ publicKey }) => hexToBytes(publicKey));
  const opener = createOpener<PbftMessage>({
    schemas: pbft.messages,
    cluster: cluster.id,
    limits: cluster.limits,
    replicaKeys,
    clientKeys,
    verify: nativeScheme.verify,
    digest: nativeDigest,
  });
  const seal = createReplicaSeal<PbftMessage>({
    schemas: pbft.messages,
    cluster: cluster.id,
    sender: self,
    incarnation: 0,
    sign: (bytes) => nativeScheme.sign(task.secret, bytes),
  });
  const handed = { self, cluster, seal, digest: nativeDigest, service: createKeyValueStore() };
  const core = await wrap(pbft.createCore(handed), task, handed);
  const message = (event: "send" | "receive", from: NodeName, to: NodeName, signed: Signed<AnyMessage>, frame: Uint8Array) =>
    trace.write(recordOfMessage(event, now(), { id: frameId(frame), bytes: frame.length, from, to }, signed.message));
  const host = new ReplicaHost<PbftMessage, PbftRecord>({
    self,
    core,
    opener,
    storage: new MemoryStorage(),
    clock: { now, wall: () => ({ earliest: Date.now() - wallUncertaintyMs, latest: Date.now() + wallUncertaintyMs }) },
    watcher: {
      sent: (from, to, signed, frame) => message("send", from, to, signed, frame),
      received: (from, to, signed, frame) => message("receive", from, to, signed, frame),
      did: (effect) => {
        logEffect(log, effect);
        for (const record of recordsOf(effect, node, now())) trace.write(record);
      },
    },
  });
  // Until the run has an origin nothing is lost: links are being opened.
  const faults = new NetworkFaults({ random: createRandom(task.seed).fork(`network of ${node}`), now: () => now() - (origin() ?? now()) });
  faults.setNetwork(task.network);
  const urls = new Map<number, string>();
  const linked = { replica: new Set<number>(), client: new Set<number>() };
  const tellLinks = () => tell({ type: "links", replicas: linked.replica.size, clients: linked.client.size });
  const transport = withFaults(
    createTransport,
    faults,
  )({
    self,
    cluster: cluster.id,
    secret: task.secret,
    scheme: nativeScheme,
    replicas: cluster.replicas.map((id) => ({
      id,
      publicKey: replicaKeys[id] as Uint8Array,
      get url() {
        return urls.get(id) ?? (task.file.members[id]?.url as string);
      },
    })),
    clients: cluster.clients.map((id) => ({ id, publicKey: clientKeys[id - 1] as Uint8Array })),
    frameBytes: cluster.limits.frameBytes,
    listen: { port: task.port },
    // A laboratory run wants to see the lies after the first (PROTOCOL pins).
    penalties: false,
    onFrame: (peer, frame) => host.receive(peer, frame),
    onLinkUp: (peer) => {
      linked[peer.role].add(peer.id);
      log.info({ peer: peerName(peer) }, "link up");
      tellLinks();
      host.linkUp(peer);
    },
    onLinkDown: (peer) => {
      linked[peer.role].delete(peer.id);
      log.info({ peer: peerName(peer) }, "link down");
      tellLinks();
    },
  });
  const report = () => {
    const told = { view: -1, executed: -1 };
    setInterval(() => {
      const { view, executed, active, halted } = core.inspect();
      if (told.view === view && told.executed === executed) return;
      Object.assign(told, { view, executed });
      tell({ type: "state", view, executed, active, halted });
    }, stateIntervalMs).unref();
  };
  trace.write({ at: now(), node, event: "start", incarnation: task.incarnation });
  return { host, transport, faults, trace, urls, report };
}

/** Ms on the clock that all processes of this machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** First 8 bytes of SHA-256 of the frame, in hex. */
export function frameId(frame: Uint8Array): string {
  return createHash("sha256").update(frame).digest("hex").slice(0, 16);
}

function tell(message: FromChild): void {
  if (process.connected) process.send?.(message);
}

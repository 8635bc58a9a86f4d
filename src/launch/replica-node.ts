/**
 * One replica of a cluster file, put together: core, host, links, log, metrics. `quorate replica` runs it as it is; a laboratory
 * puts a faulty network, a trace and perhaps a traitor around it, through the options, which no message can reach.
 */
import type { Logger } from "pino";
import type { Cluster } from "../core/cluster.ts";
import type { Core, CoreState } from "../core/contract.ts";
import { type ReplicaId, replicaId, replicaName } from "../core/ids.ts";
import { nativeDigest, nativeScheme, strictScheme } from "../crypto/native.ts";
import { EventLog } from "../node/event-log.ts";
import { healthOf } from "../node/health.ts";
import { createMetrics, type ReplicaMetrics } from "../node/metrics.ts";
import { type HostWatcher, ReplicaHost } from "../node/replica-host.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../protocols/pbft/index.ts";
import { createKeyValueStore } from "../services/key-value.ts";
import { MemoryStorage } from "../storage/memory.ts";
import type { TlsSettings } from "../transport/tls.ts";
import { createTransport, type Transport, type TransportOptions } from "../transport/transport.ts";
import { createOpener } from "../wire/open.ts";
import { createReplicaSeal } from "../wire/seal.ts";
import { type ClusterFile, keysOf, toCluster } from "./cluster-file.ts";

export type PbftCore = Core<PbftMessage, PbftRecord>;
/** What a core was handed; who wraps it gets the same. */
export type Handed = Parameters<typeof pbft.createCore>[0];
/** Puts something around the honest core; an honest program leaves it as it is. */
export type WrapCore = (core: PbftCore, handed: Handed) => PbftCore | Promise<PbftCore>;

export interface ReplicaNodeOptions {
  readonly id: number;
  readonly file: ClusterFile;
  /** The private key of this replica. */
  readonly secret: Uint8Array;
  readonly log: Logger;
  /** Where to listen instead of the host and port of the cluster file's url. Port 0: the system chooses. */
  readonly listen?: { readonly host?: string; readonly port?: number };
  readonly tls?: TlsSettings;
  /** Where another replica listens, asked before each call. @defaultValue the url in the cluster file */
  readonly urlOf?: (replica: number) => string;
  /** Whether who sends an invalid signature is cut off for a while. @defaultValue true */
  readonly penalties?: boolean;
  /** @defaultValue links without faults of our making */
  readonly createTransport?: (options: TransportOptions) => Transport;
  readonly wrap?: WrapCore;
  /** Where a trace is written. @defaultValue nowhere */
  readonly watcher?: HostWatcher<PbftMessage, PbftRecord>;
  readonly onLinks?: (open: LinkCount) => void;
  /** Whether this replica has the process for itself: its metrics then tell of the process too. @defaultValue false */
  readonly ownProcess?: boolean;
}

export interface LinkCount {
  readonly replicas: number;
  readonly clients: number;
}

/** Half the width of the wall interval, in ms: how far this machine's clock is believed to be off. */
const wallUncertaintyMs = 5;

export class ReplicaNode {
  readonly #options: ReplicaNodeOptions;
  readonly #self: ReplicaId;
  readonly #cluster: Cluster;
  readonly #core: PbftCore;
  readonly #host: ReplicaHost<PbftMessage, PbftRecord>;
  readonly #transport: Transport;
  readonly #log: EventLog;
  readonly #metrics: ReplicaMetrics;
  readonly #createdAt = monotonicMs();

  private constructor(options: ReplicaNodeOptions, core: PbftCore, handed: Handed) {
    const { file, log, watcher } = options;
    this.#options = options;
    this.#self = handed.self;
    this.#cluster = handed.cluster;
    this.#core = core;
    this.#log = new EventLog(log);
    this.#transport = (options.createTransport ?? createTransport)(this.#transportOptions());
    this.#metrics = createMetrics({
      self: handed.self,
      state: () => core.inspect(),
      transport: () => this.#transport,
      now: monotonicMs,
      process: options.ownProcess ?? false,
    });
    this.#host = new ReplicaHost<PbftMessage, PbftRecord>({
      self: handed.self,
      core,
      opener: createOpener<PbftMessage>({
        schemas: pbft.messages,
        cluster: handed.cluster.id,
        limits: handed.cluster.limits,
        ...keysOf(file),
        verify: nativeScheme.verify,
        digest: nativeDigest,
      }),
      storage: new MemoryStorage((records) => pbft.compact(records, handed.cluster)),
      clock: { now: monotonicMs, wall },
      watcher: {
        sent: (...sent) => {
          this.#metrics.sent(...sent);
          watcher?.sent(...sent);
        },
        received: (...received) => {
          this.#metrics.received(...received);
          watcher?.received(...received);
        },
        did: (effect) => {
          watcher?.did(effect);
          this.#metrics.did(effect);
          this.#log.effect(effect);
        },
        persisted: (records, ms) => this.#metrics.persisted(records, ms),
      },
    });
  }

  /** Puts the parts together; nothing listens yet. @throws LabError when the certificate that `wss://` needs is missing */
  static async create(options: ReplicaNodeOptions): Promise<ReplicaNode> {
    const { file, secret, wrap = (core) => core } = options;
    const self = replicaId(options.id);
    const cluster = toCluster(file);
    const seal = createReplicaSeal<PbftMessage>({
      schemas: pbft.messages,
      cluster: cluster.id,
      sender: self,
      incarnation: 0,
      sign: (bytes) => nativeScheme.sign(secret, bytes),
    });
    const handed = { self, cluster, seal, digest: nativeDigest, service: createKeyValueStore() };
    return new ReplicaNode(options, await wrap(pbft.createCore(handed), handed), handed);
  }

  /** Listens, dials the others and starts the core. @returns the port. @throws LabError when the address cannot be had */
  async start(): Promise<number> {
    const { n, f, id } = this.#cluster;
    const port = await this.#transport.listen();
    const url = new URL(this.#options.file.members[this.#self]?.url ?? "");
    url.port = `${port}`;
    this.#log.started({ address: url.href, cluster: id.slice(0, 16), replicas: n, faults: f });
    if (this.#options.file.openClients) this.#log.openClients();
    this.#host.start(this.#transport);
    return port;
  }

  get state(): CoreState {
    return this.#core.inspect();
  }

  /** Does nothing more, as after a crash of its own; sockets stay as they are. */
  halt(): void {
    this.#host.stop();
  }

  /** Ends without a word. @returns when every socket is closed */
  async abandon(): Promise<void> {
    this.halt();
    await this.#transport.close();
  }

  /** Ends in an orderly way. @returns when every socket is closed */
  async stop(): Promise<void> {
    await this.abandon();
    this.#log.stopped();
  }

  #transportOptions(): TransportOptions {
    const { file, secret, urlOf, listen, tls, penalties = true, onLinks } = this.#options;
    const { replicaKeys, clientKeys, openClients } = keysOf(file);
    const linked = { replica: new Set<number>(), client: new Set<number>() };
    const told = (): void => onLinks?.({ replicas: linked.replica.size, clients: linked.client.size });
    return {
      self: this.#self,
      cluster: this.#cluster.id,
      secret,
      scheme: strictScheme,
      replicas: this.#cluster.replicas.map((id) => ({
        id,
        publicKey: replicaKeys[id] as Uint8Array,
        get url() {
          return urlOf?.(id) ?? (file.members[id]?.url as string);
        },
      })),
      clients: this.#cluster.clients.map((id) => ({ id, publicKey: clientKeys[id - 1] as Uint8Array })),
      openClients,
      frameBytes: this.#cluster.limits.frameBytes,
      ...(listen && { listen }),
      ...(tls && { tls }),
      penalties,
      onFrame: (peer, frame) => this.#host.receive(peer, frame),
      onLinkUp: (peer) => {
        linked[peer.role].add(peer.id);
        told();
        this.#host.linkUp(peer);
      },
      onLinkDown: (peer) => {
        linked[peer.role].delete(peer.id);
        told();
      },
      onNotice: (notice) => this.#log.notice(notice),
      answer: (path) => this.#answer(path),
    };
  }

  /** What plain HTTP requests to the replica's port get. */
  #answer(path: string): ReturnType<NonNullable<TransportOptions["answer"]>> {
    if (path === "/metrics") return this.#metrics.page();
    if (path !== "/health") return undefined;
    const [self, cluster, state] = [this.#self, this.#cluster, this.#core.inspect()];
    return healthOf({ self, cluster, state, links: this.#transport.links(), uptimeMs: monotonicMs() - this.#createdAt });
  }
}

/** The name under which a replica's files go. */
export const replicaFile = (directory: string, id: number, extension: "jsonl" | "log" | "crash.txt"): string =>
  `${directory}/${replicaName(id)}.${extension}`;

/** Ms on the clock that all processes of this machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

function wall(): { earliest: number; latest: number } {
  const now = Date.now();
  return { earliest: now - wallUncertaintyMs, latest: now + wallUncertaintyMs };
}

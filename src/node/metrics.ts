/**
 * What a replica tells Prometheus. Counting is done in plain numbers, for it happens with every message; prom-client's part is the
 * text. Each replica has a registry of its own: several may live in one process.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { CoreState, Effect } from "../core/contract.ts";
import { type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import type { AnyMessage, Request, Signed } from "../core/message.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { version } from "../core/version.ts";
import { Recent } from "../crypto/recent.ts";
import type { HttpAnswer } from "../transport/pages.ts";
import { type Peer, peerName } from "../transport/peer.ts";
import type { Transport } from "../transport/transport.ts";
import { defaultHostLimits, type HostLimits } from "./limits.ts";
import type { HostWatcher } from "./replica-host.ts";

export interface MetricsSetup {
  readonly self: ReplicaId;
  /** Asked when somebody reads the metrics. */
  state(): CoreState;
  /** Likewise; undefined as long as there is none. */
  transport(): Pick<Transport, "counters" | "links" | "waitingBytes"> | undefined;
  /** Monotonic ms. */
  now(): number;
  /** Memory, CPU, event loop and garbage collection of the whole process besides. Once per process: it is not undone. @defaultValue false */
  readonly process?: boolean;
  readonly limits?: Partial<HostLimits>;
}

/** Fed as a watcher of the host. */
export interface ReplicaMetrics extends Required<HostWatcher<AnyMessage, unknown>> {
  /** The text that Prometheus reads, as a page. */
  page(): Promise<HttpAnswer>;
}

interface Flow {
  messages: number;
  bytes: number;
}

const directions = ["sent", "received"] as const;

export function createMetrics(setup: MetricsSetup): ReplicaMetrics {
  return new Metrics(setup);
}

class Metrics implements ReplicaMetrics {
  readonly #setup: MetricsSetup;
  readonly #registry = new Registry();
  /** By kind: those of the protocol, for nothing else is decoded. */
  readonly #flows = { sent: new Map<string, Flow>(), received: new Map<string, Flow>() };
  readonly #rejections = new Map<RejectionCode, number>();
  readonly #counts = { decided: 0, executed: 0, viewChanges: 0, persisted: 0 };
  /** When a request first came that is not executed yet. */
  readonly #arrivals: Recent<string, number>;
  readonly #batches: Histogram;
  readonly #latency: Histogram;
  readonly #durability: Histogram;
  readonly #refresh: readonly (() => void)[];

  constructor(setup: MetricsSetup) {
    this.#setup = setup;
    this.#arrivals = new Recent(setup.limits?.remembered ?? defaultHostLimits.remembered);
    const registers = [this.#registry];
    if (setup.process === true) collectDefaultMetrics({ register: this.#registry });
    new Gauge({ name: "quorate_info", help: "1; who this is.", labelNames: ["node", "version"], registers }).set(
      { node: replicaName(setup.self), version: version },
      1,
    );
    const histogram = (name: string, help: string, buckets: number[]) => new Histogram({ name, help, buckets, registers });
    this.#batches = histogram("quorate_batch_requests", "Requests in a decided batch.", [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
    this.#latency = histogram(
      "quorate_request_execution_seconds",
      "From a request's first arrival here, by itself and not in a batch, to its execution here.",
      [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    );
    this.#durability = histogram(
      "quorate_persist_seconds",
      "How long records took to become durable.",
      [0.00001, 0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1],
    );
    this.#refresh = [...this.#gauges(), ...this.#counters()];
  }

  sent(_from: NodeName, _to: NodeName, { message }: Signed<AnyMessage>, frame: Uint8Array): void {
    this.#count(this.#flows.sent, message.kind, frame.length);
  }

  received(_from: NodeName, _to: NodeName, { message }: Signed<AnyMessage>, frame: Uint8Array): void {
    this.#count(this.#flows.received, message.kind, frame.length);
    if (message.kind !== "request") return;
    const name = `${message.sender} ${(message as Request).number}`;
    if (this.#arrivals.get(name) === undefined) this.#arrivals.set(name, this.#setup.now());
  }

  did(effect: Effect<AnyMessage, unknown>): void {
    if (effect.type === "reject") {
      const { code } = effect.rejection;
      this.#rejections.set(code, (this.#rejections.get(code) ?? 0) + 1);
    } else if (effect.type === "decide") {
      this.#counts.decided += 1;
      this.#batches.observe(effect.requests.length);
    } else if (effect.type === "observe") {
      const { event } = effect;
      if (event.event === "view-change") this.#counts.viewChanges += 1;
      else if (event.event === "execute" && event.replayed === undefined) this.#executed(`${event.client} ${event.request}`);
    }
  }

  persisted(records: number, ms: number): void {
    this.#counts.persisted += records;
    this.#durability.observe(ms / 1_000);
  }

  async page(): Promise<HttpAnswer> {
    for (const refresh of this.#refresh) refresh();
    return { status: 200, type: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #executed(name: string): void {
    this.#counts.executed += 1;
    const at = this.#arrivals.get(name);
    if (at === undefined) return;
    this.#arrivals.delete(name);
    this.#latency.observe((this.#setup.now() - at) / 1_000);
  }

  #count(flows: Map<string, Flow>, kind: string, bytes: number): void {
    const flow = flows.get(kind);
    if (flow === undefined) flows.set(kind, { messages: 1, bytes });
    else {
      flow.messages += 1;
      flow.bytes += bytes;
    }
  }

  #gauges(): readonly (() => void)[] {
    const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Gauge<L>({ name: `quorate_${name}`, help, labelNames, registers: [this.#registry] });
    const view = gauge("view", "View that this replica is in, or wants to enter.");
    const active = gauge("view_active", "1 in a view, 0 while changing views.");
    const executed = gauge("executed_slot", "Last slot that is executed here.");
    const stable = gauge("stable_slot", "Last slot with a stable checkpoint.");
    const halted = gauge("halted", "1 when more replicas lied than the cluster withstands and this one stopped.");
    const links = gauge("links", "Open links, by who is at the other end.", ["role"]);
    const waiting = gauge("waiting_bytes", "Bytes that wait to be sent to a replica, or to all clients together.", ["peer"]);
    return [
      () => {
        const state = this.#setup.state();
        view.set(state.view);
        active.set(Number(state.active));
        executed.set(state.executed);
        stable.set(state.stable);
        halted.set(Number(state.halted));
      },
      () => {
        const transport = this.#setup.transport();
        const peers = transport?.links() ?? [];
        const open = { replica: 0, client: 0 };
        for (const { role } of peers) open[role] += 1;
        for (const role of ["replica", "client"] as const) links.set({ role }, open[role]);
        waiting.reset();
        waiting.set({ peer: "clients" }, 0);
        for (const peer of peers) waiting.inc({ peer: waitsAs(peer) }, transport?.waitingBytes(peer) ?? 0);
      },
    ];
  }

  #counters(): readonly (() => void)[] {
    /** Set anew from what was counted: prom-client's own counting costs more than a message may. */
    const counter = <L extends string>(
      name: string,
      help: string,
      labelNames: L[],
      read: () => Iterable<readonly [Record<L, string>, number]>,
    ) => {
      const made = new Counter<L>({ name: `quorate_${name}_total`, help, labelNames, registers: [this.#registry] });
      return () => {
        made.reset();
        for (const [labels, value] of read()) made.inc(labels, value);
      };
    };
    const plain = (name: string, help: string, read: () => number) => counter(name, help, [], () => [[{}, read()]]);
    const flows = (what: keyof Flow) => () =>
      directions.flatMap((direction) => [...this.#flows[direction]].map(([kind, flow]) => [{ kind, direction }, flow[what]] as const));
    return [
      plain("decided_slots", "Slots decided since the start.", () => this.#counts.decided),
      plain("executed_requests", "Requests executed since the start.", () => this.#counts.executed),
      plain("view_changes", "Views left since the start.", () => this.#counts.viewChanges),
      plain("persisted_records", "Records that became durable since the start.", () => this.#counts.persisted),
      counter("messages", "Messages to and from replicas and clients.", ["kind", "direction"], flows("messages")),
      counter("message_bytes", "Bytes of those messages.", ["kind", "direction"], flows("bytes")),
      counter("rejections", "Messages without effect, by the reason (src/core/rejection.ts).", ["code"], () =>
        [...this.#rejections].map(([code, times]) => [{ code }, times] as const),
      ),
      counter("transport_losses", "Lost frames and ended connections, by the reason (src/transport/counters.ts).", ["reason"], () =>
        [...(this.#setup.transport()?.counters.totals() ?? [])].map(([reason, times]) => [{ reason }, times] as const),
      ),
    ];
  }
}

/** Clients are many: they share one label. */
function waitsAs(peer: Peer): string {
  return peer.role === "client" ? "clients" : peerName(peer);
}

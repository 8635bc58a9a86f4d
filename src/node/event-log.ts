/** What an operator reads: one line for each event that one can act on. Decisions and messages are the trace's business. */
import type { Logger } from "pino";
import type { Effect } from "../core/contract.ts";
import type { NodeName } from "../core/ids.ts";
import { unreachable } from "../core/invariant.ts";
import type { AnyMessage } from "../core/message.ts";
import { version } from "../core/version.ts";
import type { TransportReason } from "../transport/counters.ts";
import type { TransportNotice } from "../transport/notice.ts";
import { defaultHostLimits, type HostLimits } from "./limits.ts";
import { Summary } from "./summary.ts";

/** Every event that is logged: its level, and what the line says. docs/operations.md tells what to do about each. */
export const events = {
  started: { level: "info", text: "listens" },
  "open-clients": { level: "warn", text: "anybody who reaches this port may send requests: the cluster file says openClients" },
  stopped: { level: "info", text: "stopped as it was told to" },
  "link-up": { level: "info", text: "a link opened" },
  "link-down": { level: "warn", text: "a link ended" },
  "call-failed": { level: "warn", text: "a replica could not be reached; it is called again" },
  "stranger-refused": { level: "warn", text: "a connection was refused" },
  "slow-reader": { level: "warn", text: "a peer that did not read was disconnected" },
  "queue-full": { level: "warn", text: "frames were dropped: a peer takes them too slowly" },
  "held-back": { level: "warn", text: "a peer sends faster than it may: reading from it pauses" },
  "invalid-signature": { level: "warn", text: "a peer delivered an invalid signature" },
  "cut-off": { level: "warn", text: "a peer is cut off for a while" },
  "page-failed": { level: "error", text: "a page could not be made" },
  checkpoint: { level: "debug", text: "a checkpoint is stable" },
  "view-change": { level: "warn", text: "left its view: the primary did not get requests done in time" },
  "new-view": { level: "info", text: "entered a view" },
  install: { level: "info", text: "installed the state of others: it had fallen behind" },
  evidence: { level: "warn", text: "a replica contradicted itself; the proof is in the trace" },
  halt: { level: "fatal", text: "halted: more replicas are faulty than the cluster withstands" },
} as const;

type EventName = keyof typeof events;
type Level = "debug" | "info" | "warn" | "error" | "fatal";

/** Clients come and go; only what they did is news. */
const comings: readonly TransportReason[] = ["connection-lost", "replaced", "idle"];

/** What a replica says of itself when it starts. */
export interface StartedAs {
  /** Where it listens, as a url. */
  readonly address: string;
  readonly cluster: string;
  readonly replicas: number;
  readonly faults: number;
}

export class EventLog {
  readonly #log: Logger;
  readonly #summary: Summary;

  constructor(log: Logger, limits?: Partial<HostLimits>) {
    this.#log = log;
    this.#summary = new Summary({ ...defaultHostLimits, ...limits });
  }

  started(as: StartedAs): void {
    this.#line("started", { ...as, version });
  }

  /** Said loudly: who may ask is otherwise fixed by the cluster file. */
  openClients(): void {
    this.#line("open-clients", {});
  }

  /** The last line. */
  stopped(): void {
    this.#summary.flush();
    this.#line("stopped", {});
  }

  effect(effect: Effect<AnyMessage, unknown>): void {
    if (effect.type === "evidence") return this.#line("evidence", { culprit: effect.culprit, kind: effect.kind });
    if (effect.type === "reject") {
      const { code, from, kind } = effect.rejection;
      if (code === "bad-signature" || code === "verify-budget")
        this.#often("invalid-signature", `${from} ${code}`, { peer: from, code, kind });
      return;
    }
    if (effect.type !== "observe") return;
    const { event } = effect;
    if (event.event === "view-change" || event.event === "new-view") this.#line(event.event, { view: event.view });
    else if (event.event === "install") this.#line("install", { slot: event.slot, from: event.from });
    else if (event.event === "halt") this.#line("halt", { reason: event.reason });
    else if (event.event === "checkpoint" && event.stable) this.#line("checkpoint", { slot: event.slot });
  }

  notice(notice: TransportNotice): void {
    const { type, ...fields } = notice;
    switch (notice.type) {
      case "link-up":
        return this.#often("link-up", notice.peer, fields, { level: isClient(notice.peer) ? "debug" : "info" });
      case "link-down": {
        const { peer, reason } = notice;
        if (reason === "slow-reader") return this.#often("slow-reader", peer, fields);
        return this.#often("link-down", `${peer} ${reason}`, fields, {
          level: isClient(peer) && comings.includes(reason) ? "debug" : "warn",
        });
      }
      case "frames-dropped": {
        const { peer, reason, frames } = notice;
        return this.#often("queue-full", `${peer} ${reason}`, { peer, reason }, { amount: frames });
      }
      case "call-failed":
        return this.#often("call-failed", `${notice.peer} ${notice.reason}`, fields);
      case "stranger-refused":
        return this.#often("stranger-refused", notice.reason, fields);
      case "held-back":
      case "cut-off":
        return this.#often(notice.type, notice.peer, fields);
      case "page-failed":
        return this.#often("page-failed", notice.path, fields);
      default:
        return unreachable(notice);
    }
  }

  #line(event: EventName, fields: object, level: Level = events[event].level): void {
    this.#log[level]({ event, ...fields }, events[event].text);
  }

  /** The fields are those of the latest; `count` says how often since the line before. */
  #often(event: EventName, about: string, fields: object, { level = events[event].level as Level, amount = 1 } = {}): void {
    if (!this.#log.isLevelEnabled(level)) return;
    this.#summary.add(event, about, amount, (count) => this.#line(event, { ...fields, count }, level));
  }
}

function isClient(peer: NodeName): boolean {
  return peer.startsWith("client-");
}

/** The log of a replica: one line for each event that an operator can act on. Decisions and messages are the trace's business. */
import { type DestinationStream, type Logger, pino } from "pino";
import type { Effect } from "../core/contract.ts";
import type { NodeName } from "../core/ids.ts";
import type { AnyMessage } from "../core/message.ts";

/** @param destination - where lines go, as JSON */
export function createLog(node: NodeName, destination: DestinationStream): Logger {
  return pino({ base: { node }, level: "info", redact: ["secret"] }, destination);
}

/** What of an effect is worth a line: views, state transfers, proof of guilt, and the end. */
export function logEffect(log: Logger, effect: Effect<AnyMessage, unknown>): void {
  if (effect.type === "evidence")
    log.warn({ culprit: effect.culprit, kind: effect.kind }, "a replica contradicted itself; the proof is in the trace");
  if (effect.type !== "observe") return;
  const { event } = effect;
  if (event.event === "view-change") log.warn({ view: event.view }, "left its view: the primary did not get requests done in time");
  else if (event.event === "new-view") log.info({ view: event.view }, "entered a view");
  else if (event.event === "install")
    log.info({ slot: event.slot, from: event.from }, "installed the state of others: it had fallen behind");
  else if (event.event === "halt") log.fatal({ reason: event.reason }, "stopped: more replicas are faulty than the cluster withstands");
}

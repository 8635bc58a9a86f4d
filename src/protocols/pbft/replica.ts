/**
 * One replica: takes an input, lets the rule files record what it says, then draws the consequences until nothing changes.
 *
 * No handler calls another rule's handler, so the order of consequences stands in one place: {@link advance}.
 */
import type { CoreState, Input } from "../../core/contract.ts";
import type { ReplicaId } from "../../core/ids.ts";
import { unreachable } from "../../core/invariant.ts";
import type { Verified } from "../../core/message.ts";
import { agree, onCommit, onPrePrepare, onPrepare } from "./agreement.ts";
import { greet, onCertificate, onStatus, statusTick } from "./catch-up.ts";
import { onCheckpoint } from "./checkpointing.ts";
import { Context, type PbftCore, type PbftEffect, type PbftSetup } from "./context.ts";
import type { PbftRecord } from "./durable.ts";
import { executeReady } from "./execution.ts";
import { assertInvariants } from "./invariants.ts";
import type { PbftMessage } from "./messages.ts";
import { considerCandidates, onNewView, proposeNewView } from "./new-view.ts";
import { onRequest, propose } from "./proposing.ts";
import { recover } from "./recovery.ts";
import { onTimeout, refreshTimers } from "./timers.ts";
import { fetchViewChanges, onBatchBody, onFetch, onSnapshot } from "./transfer.ts";
import { joinOthers, noteViewChangeQuorum, onViewChange } from "./view-change.ts";
import { wants } from "./wanting.ts";

export function createPbftCore(setup: PbftSetup): PbftCore {
  const context = new Context(setup);
  return {
    step: (input) => step(context, input),
    wants: (peek) => wants(context, peek),
    inspect: () => inspect(context),
    assertInvariants: () => assertInvariants(context),
  };
}

function step(context: Context, input: Input<PbftMessage, PbftRecord>): readonly PbftEffect[] {
  context.effects = [];
  if (context.halted) {
    if (input.type === "receive") context.reject("halted", input.message);
    return context.effects;
  }
  context.now = Math.max(context.now, input.now);
  if ("wall" in input) context.wall = input.wall;
  const before = positionOf(context);
  handle(context, input);
  advance(context, before);
  refreshTimers(context);
  return context.effects;
}

function handle(context: Context, input: Input<PbftMessage, PbftRecord>): void {
  switch (input.type) {
    case "start":
      if (input.recovered) recover(context, input.recovered);
      return statusTick(context);
    case "receive":
      return receive(context, input.message, input.from);
    case "request":
      return onRequest(context, input.request);
    case "timeout":
      return onTimeout(context, input.timer);
    case "link-up":
      return greet(context, input.peer);
    default:
      return unreachable(input);
  }
}

function receive(context: Context, received: Verified<PbftMessage>, from?: ReplicaId): void {
  // Generic over the union: each branch narrows message and wrapper together.
  const { message } = received;
  // An answer costs its asker's budget: replayed by another, old questions would use up the share of new ones (rule 55, A61).
  const asks = message.kind === "status" || message.kind === "fetch";
  if (asks && from !== undefined && from !== message.sender) return context.reject("peer-mismatch", received);
  const as = <K extends PbftMessage["kind"]>(_kind: K) => received as Verified<Extract<PbftMessage, { kind: K }>>;
  switch (message.kind) {
    case "pre-prepare":
      return onPrePrepare(context, as(message.kind));
    case "prepare":
      return onPrepare(context, as(message.kind));
    case "commit":
      return onCommit(context, as(message.kind));
    case "checkpoint":
      return onCheckpoint(context, as(message.kind));
    case "view-change":
      return onViewChange(context, as(message.kind));
    case "new-view": {
      const before = context.candidates.get(message.sender);
      onNewView(context, as(message.kind));
      // A repetition asks for nothing: the tick does (rule 55).
      return context.candidates.get(message.sender) === before ? undefined : fetchViewChanges(context);
    }
    case "status":
      return onStatus(context, as(message.kind));
    case "fetch":
      return onFetch(context, as(message.kind));
    case "batch-body":
      return onBatchBody(context, as(message.kind));
    case "snapshot":
      return onSnapshot(context, as(message.kind));
    case "certificate":
      return onCertificate(context, as(message.kind));
    default:
      return unreachable(message);
  }
}

/** Draws consequences in one order until none is left: views, votes, execution, what waited for them, proposals. */
function advance(context: Context, since: string): void {
  let before = since;
  let moved: boolean;
  do {
    while (!context.halted && (joinOthers(context) || proposeNewView(context) || considerCandidates(context)));
    noteViewChangeQuorum(context);
    settleTouched(context);
    const position = positionOf(context);
    moved = position !== before;
    before = position;
    // One that halted between two views holds votes of the old one: compared with the new, they would accuse the innocent.
    if (moved && !context.halted) replayBacklog(context);
    propose(context);
  } while (!context.halted && (context.touched.size > 0 || moved));
}

/** What decides which early messages may be counted (rule 18). The input itself may have moved it. */
function positionOf({ view, active, stable }: Context): string {
  return `${view} ${active} ${stable}`;
}

function settleTouched(context: Context): void {
  do {
    const touched = [...context.touched].sort((a, b) => a - b);
    context.touched.clear();
    for (const slot of touched) {
      const log = context.slots.get(slot);
      if (log && !context.halted) agree(context, log);
    }
    executeReady(context);
  } while (context.touched.size > 0 && !context.halted);
}

/** The view or the window moved: what came early is looked at again, and waits again where it still must (rule 18). */
function replayBacklog(context: Context): void {
  for (const message of context.backlog.drain()) receive(context, message);
}

function inspect(context: Context): CoreState {
  const { view, active, stable, executed, halted, clock, nextSlot, failures } = context;
  return {
    view,
    active,
    stable,
    executed,
    halted,
    clock,
    nextSlot,
    failures,
    pending: context.pending.size,
    backlog: context.backlog.size,
    backlogBytes: context.backlog.bodyBytes,
    bodies: context.bodies.size,
    held: context.held.size,
    snapshots: context.snapshots.size,
    checkpoints: [...context.checkpoints.values()].reduce((votes, { size }) => votes + size, 0),
    candidates: context.candidates.size,
    fetched: [...context.candidates.values()].reduce((messages, { fetched }) => messages + fetched.size, 0),
    rows: context.table.size,
    transfer: context.transfer?.slot,
    missingBodies: context.missingBodies.size,
    viewChanges: [...context.viewChanges].map(([id, { message }]) => [id, message.view]),
    slots: [...context.slots.values()].map((log) => ({
      slot: log.slot,
      proposed: log.prePrepare?.message.digest,
      prepares: [...log.prepares.keys()],
      prepared: log.prepared && [log.prepared.prePrepare.message.view, log.prepared.prePrepare.message.digest],
      committed: log.committed && [log.committed.view, log.committed.digest],
    })),
  };
}

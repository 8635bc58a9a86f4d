/** Timers are derived from the state after every step (docs/protocol.md A.6): handlers never set one, so none can be forgotten. */
import type { View } from "../../core/ids.ts";
import { onPrePrepare } from "./agreement.ts";
import { nextStatusAt, statusTick } from "./catch-up.ts";
import type { Context } from "./context.ts";
import { currentTimeoutMs, startViewChange } from "./view-change.ts";

type TimerName = "view" | "status" | "hold";

export function onTimeout(context: Context, timer: string): void {
  context.timers.delete(timer);
  if (timer === "status") statusTick(context);
  else if (timer === "hold") retryHeld(context);
  else if (timer === "view") onViewTimeout(context);
}

/** Sets each timer whose moment came nearer or that is new, and cancels what is not wanted. A later moment waits for the firing. */
export function refreshTimers(context: Context): void {
  schedule(context, "view", viewDeadline(context));
  // A tick that is near enough already needs no look at what is missing.
  const soonest = context.statusSentAt + context.statusPauseMs;
  if ((context.timers.get("status") ?? Number.POSITIVE_INFINITY) > soonest) {
    schedule(context, "status", context.halted ? undefined : nextStatusAt(context));
  }
  let hold: number | undefined;
  for (const { retryAt } of context.held.values()) hold = Math.min(hold ?? retryAt, retryAt);
  schedule(context, "hold", hold);
}

/** Rules 41-43 and 47: the oldest pending request in an active view; the NEW-VIEW once q want one; nothing during a state fetch. */
function viewDeadline(context: Context): number | undefined {
  if (context.halted || context.transfer) return undefined;
  const since = context.active
    ? context.pending.oldestSince(Math.max(context.viewEnteredAt, context.fetchEndedAt))
    : context.newViewWaitSince;
  return since === undefined ? undefined : since + currentTimeoutMs(context);
}

function onViewTimeout(context: Context): void {
  const deadline = viewDeadline(context);
  context.observe({ event: "timer", name: "view", view: context.view, what: "fire" });
  if (deadline !== undefined && deadline <= context.now) startViewChange(context, (context.view + 1) as View);
}

function retryHeld(context: Context): void {
  for (const [slot, { message, retryAt }] of [...context.held]) {
    if (retryAt > context.now) continue;
    context.held.delete(slot);
    onPrePrepare(context, message);
  }
}

function schedule(context: Context, timer: TimerName, deadline: number | undefined): void {
  const armed = context.timers.get(timer);
  if (deadline === undefined) {
    if (armed === undefined) return;
    context.timers.delete(timer);
    context.effects.push({ type: "cancel-timer", timer });
    if (timer === "view") context.observe({ event: "timer", name: timer, view: context.view, what: "cancel" });
    return;
  }
  if (armed !== undefined && armed <= deadline) return;
  const ms = Math.max(0, Math.ceil(deadline - context.now));
  context.timers.set(timer, deadline);
  context.effects.push({ type: "set-timer", timer, ms });
  if (timer === "view") context.observe({ event: "timer", name: timer, view: context.view, what: "set", ms });
}

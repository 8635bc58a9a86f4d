/** The slow primary that stays just inside the timeout, and the slow backup (A30). */
import { z } from "zod";
import { defineBehaviour } from "../behaviour.ts";
import { duration, kinds } from "../options.ts";

export const delay = defineBehaviour({
  name: "delay",
  description: "Sends messages of the given kinds, or all, late by `ms`, in their order.",
  options: z.strictObject({ ms: duration, kinds: kinds.optional() }),
  create({ ms: delayMs, kinds: late }) {
    const isLate = (kind: string): boolean => delayMs > 0 && (late?.includes(kind) ?? true);
    return {
      send: { "*": (message) => (isLate(message.kind) ? { message, delayMs } : undefined) },
      relay: { "*": (message) => (isLate(message.kind) ? { delayMs } : undefined) },
    };
  },
});

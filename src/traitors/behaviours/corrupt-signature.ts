/** Garbage where a signature belongs: dropped and counted, and the peer pays (A10, A83). */
import { z } from "zod";
import { defineBehaviour } from "../behaviour.ts";
import { kinds } from "../options.ts";

export const corruptSignature = defineBehaviour({
  name: "corruptSignature",
  description: "Flips a bit in the signatures of its messages of the given kinds, or of all.",
  options: z.strictObject({ kinds: kinds.optional() }),
  create: (options) => ({
    send: { "*": (message) => (options.kinds?.includes(message.kind) === false ? undefined : { message, corruptSignature: true }) },
  }),
});

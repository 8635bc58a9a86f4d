/** Hidden votes, mute repliers, a primary that keeps some in the dark (A05, A12, A17, A24). */
import { z } from "zod";
import { defineBehaviour } from "../behaviour.ts";
import { kinds, list, type NodeReference, node } from "../options.ts";

export const withhold = defineBehaviour({
  name: "withhold",
  description: "Sends everything but messages of the given kinds to the given nodes; without kinds all of them, without nodes to all.",
  options: z.strictObject({ kinds: kinds.optional(), to: list<NodeReference>(node).optional() }),
  create(options) {
    const withheld = (kind: string, to: NodeReference): boolean =>
      (options.kinds?.includes(kind) ?? true) && (options.to?.includes(to) ?? true);
    return {
      send: {
        reply: (message, to) => (withheld(message.kind, `client-${to}`) ? "drop" : undefined),
        "*": (message, to) => (withheld(message.kind, to) ? "drop" : undefined),
      },
      relay: { "*": (message, to) => (withheld(message.kind, to) ? "drop" : undefined) },
    };
  },
});

/** Wrong results for clients; every such liar tells the same, so f+1 of them deceive a client (A11). */
import { z } from "zod";
import { encodeResult } from "../../services/key-value.ts";
import { defineBehaviour } from "../behaviour.ts";

export const lieInReplies = defineBehaviour({
  name: "lieInReplies",
  description: "Answers clients that every operation found `value`.",
  options: z.strictObject({ value: z.coerce.string().default("a lie") }),
  create({ value }, self) {
    const lie = encodeResult({ type: "value", value });
    return {
      send: {
        reply(message, client) {
          const numbers = message.results.map(({ number }) => number);
          self.said(`told client-${client} a wrong result for ${numbers.join(", ")}`);
          return { ...message, results: numbers.map((number) => ({ number, result: lie })) };
        },
      },
    };
  },
});

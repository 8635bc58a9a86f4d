/** A crash as the others see it, while the node goes on listening (A01, A23). */
import { z } from "zod";
import { defineBehaviour } from "../behaviour.ts";

export const silent = defineBehaviour({
  name: "silent",
  description: "Sends nothing to anybody.",
  options: z.strictObject({}),
  create: () => ({ send: { "*": () => "drop" }, relay: { "*": () => "drop" } }),
});

/** A traitor for `npm run hostile`: told by a signal to begin, and by another to end, it floods the others with votes for views and slots that have not come yet. */
import { randomBytes } from "node:crypto";
import { type Digest, digestOf, slot, type View, view } from "../../src/core/ids.ts";
import { scenario, traitor } from "../../src/index.ts";
import { voteFlood } from "./attacks.ts";

/** Not more at once, should it have heard nothing for long. */
const burst = 50;

const floods = traitor("floods votes", (self) => {
  const others = self.cluster.replicas.filter((id) => id !== self.id);
  let flooding = false;
  let [owed, at, turn] = [0, 0, 0];
  process.on(voteFlood.signal, () => {
    flooding = !flooding;
    at = performance.now();
  });
  /** A later view, just above the window, and far above it, in turn. */
  const vote = (now: { readonly view: View; readonly slot: number }) => {
    turn += 1;
    const { window } = self.cluster.limits;
    const digest: Digest = digestOf(randomBytes(32).toString("hex"));
    const which = turn % 3;
    if (which === 0) return { kind: "prepare", view: view(now.view + 1), slot: slot(now.slot + (turn % window)), digest } as const;
    const far = now.slot + (which === 1 ? window + (turn % (window / 2)) : 100 * window);
    return { kind: "commit", view: now.view, slot: slot(far), digest } as const;
  };
  return {
    receive: {
      "*": (message) => {
        const { message: heard } = message;
        if (!flooding || heard.kind !== "commit") return undefined;
        const now = performance.now();
        owed = Math.min(owed + ((now - at) * voteFlood.perSecond) / 1_000, burst);
        at = now;
        for (; owed >= 1; owed -= 1) self.send(others, vote(heard));
        return undefined;
      },
    },
  };
});

export default scenario({ name: "vote flood", replicas: 4, traitors: { 3: floods } });

/**
 * Double-dealing in both roles (A02, A03, A04, A18). As primary it proposes another valid batch to each group and commits to it
 * at once. As a backup it keeps a vote until it knows what the receiver believes, since first votes count, and once it sees two
 * digests it votes for both. So f+1 of them carry both sides of a fork; f of them must not.
 */
import { z } from "zod";
import { primaryOf } from "../../core/cluster.ts";
import type { Digest, Slot, View } from "../../core/ids.ts";
import { LabError } from "../../core/lab-error.ts";
import { defineBehaviour } from "../behaviour.ts";
import { count } from "../options.ts";
import type { Draft, KnownMessage, Proposal, TraitorSelf } from "../traitor.ts";

type DraftOf<K extends KnownMessage["kind"]> = Extract<Draft<KnownMessage>, { readonly kind: K }>;

/** What the replicas believe about one slot of one view, and what they were told by this traitor. */
interface Ballot {
  readonly view: View;
  readonly slot: Slot;
  /** The digest that a replica was told, or has shown that it holds. */
  readonly beliefs: Map<number, Digest>;
  readonly prepared: Set<number>;
  readonly committed: Set<number>;
  /** Its own core has a vote to give. */
  voting: boolean;
  faces: readonly Proposal[];
}

const ballotsMax = 1024;

export const equivocate = defineBehaviour({
  name: "equivocate",
  description: "Tells groups of replicas different things about one slot, as primary and as a backup, and votes with each of them.",
  options: z.strictObject({
    groups: z.array(z.array(count).min(1)).min(2).optional(),
    differ: z.enum(["timestamp", "order", "fewer"]).default("timestamp"),
  }),
  create(options, self) {
    const groups = options.groups ?? halves(self);
    const ballots = new Map<string, Ballot>();
    checkGroups(groups, self);

    const vote = (message: DraftOf<"prepare"> | DraftOf<"commit">, to: number) => {
      const ballot = ballotOf(ballots, message);
      const belief = ballot.beliefs.get(to);
      ballot.voting = true;
      if (belief === undefined && message.kind === "prepare") return "hold";
      ballot[message.kind === "prepare" ? "prepared" : "committed"].add(to);
      if (belief === undefined || belief === message.digest) return undefined;
      self.said(bothWays(ballot));
      return { ...message, digest: belief };
    };
    const learn = ({ sender, view, slot, digest }: { sender: number; view: View; slot: Slot; digest: Digest }): void => {
      const ballot = ballotOf(ballots, { view, slot });
      if (sender === self.id || ballot.beliefs.has(sender)) return;
      ballot.beliefs.set(sender, digest);
      if (new Set(ballot.beliefs.values()).size > 1) return voteBothWays(ballot, self);
      if (ballot.voting) sendVote("prepare", ballot, { to: sender, digest, self });
    };
    const isPrimarys = (message: { sender: number; view: View }): boolean => message.sender === primaryOf(message.view, self.n);

    return {
      send: {
        "pre-prepare"(message, to) {
          const { batch, view, slot } = message;
          // Without a body it repeats what a new view has fixed.
          if (!batch) return undefined;
          self.said(
            `proposed different batches for slot ${slot} of view ${view} to ${groups.map((group) => group.join("+")).join(" and ")}`,
          );
          const ballot = ballotOf(ballots, message);
          if (ballot.faces.length === 0) ballot.faces = groups.map((_, index) => face(batch, index, options.differ));
          const told = ballot.faces[groups.findIndex((group) => group.includes(to))];
          if (!told) return "drop";
          const digest = self.digestOf(told);
          ballot.beliefs.set(to, digest);
          ballot.committed.add(to);
          return [
            { ...message, digest, batch: told },
            { kind: "commit", view, slot, digest },
          ];
        },
        prepare: vote,
        commit: vote,
      },
      receive: {
        "pre-prepare": ({ message }) => (isPrimarys(message) ? learn(message) : undefined) as undefined,
        prepare: ({ message }) => learn(message) as undefined,
        "new-view": ({ message }) => {
          for (const { message: proposal } of message.prePrepares) if (isPrimarys(proposal)) learn(proposal);
          return undefined;
        },
      },
    };
  },
});

function halves({ id, cluster }: TraitorSelf): number[][] {
  const others = cluster.replicas.filter((replica) => replica !== id);
  const middle = Math.floor(others.length / 2);
  return [others.slice(0, middle), others.slice(middle)];
}

function checkGroups(groups: readonly (readonly number[])[], { n }: TraitorSelf): void {
  const wrong = groups.flat().find((replica) => replica >= n);
  if (wrong !== undefined) throw new LabError("bad-traitor", `traitor equivocate: groups name replica ${wrong}; allowed are 0..${n - 1}`);
}

function ballotOf(ballots: Map<string, Ballot>, { view, slot }: { readonly view: View; readonly slot: Slot }): Ballot {
  const name = `${view}:${slot}`;
  const known = ballots.get(name);
  if (known) return known;
  const ballot: Ballot = { view, slot, beliefs: new Map(), prepared: new Set(), committed: new Set(), voting: false, faces: [] };
  ballots.set(name, ballot);
  const [oldest] = ballots.keys();
  if (ballots.size > ballotsMax && oldest !== undefined) ballots.delete(oldest);
  return ballot;
}

/** Valid for every receiver, and another digest for every group; the first is told the truth. */
function face({ timestamp, requests }: Proposal, index: number, differ: "timestamp" | "order" | "fewer"): Proposal {
  const turns = requests.length > 0 ? index % requests.length : 0;
  if (differ === "order" && turns > 0) return { timestamp, requests: [...requests.slice(turns), ...requests.slice(0, turns)] };
  if (differ === "fewer" && index > 0 && requests.length > index) return { timestamp, requests: requests.slice(0, -index) };
  return { timestamp: timestamp + index, requests };
}

/** PREPARE and COMMIT to everybody whose belief is known, each for his own. */
function voteBothWays(ballot: Ballot, self: TraitorSelf): void {
  self.said(bothWays(ballot));
  for (const [to, digest] of ballot.beliefs) {
    sendVote("prepare", ballot, { to, digest, self });
    sendVote("commit", ballot, { to, digest, self });
  }
}

/** At most once to each. The primary's PREPARE would not count (rule 16). */
function sendVote(
  kind: "prepare" | "commit",
  ballot: Ballot,
  { to, digest, self }: { readonly to: number; readonly digest: Digest; readonly self: TraitorSelf },
): void {
  const done = kind === "prepare" ? ballot.prepared : ballot.committed;
  if (done.has(to) || (kind === "prepare" && primaryOf(ballot.view, self.n) === self.id)) return;
  done.add(to);
  self.send([to], { kind, view: ballot.view, slot: ballot.slot, digest });
}

function bothWays({ view, slot }: Ballot): string {
  return `voted for what each replica believed about slot ${slot} of view ${view}`;
}

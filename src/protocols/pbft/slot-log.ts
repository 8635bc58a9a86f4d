/** What a replica holds about one slot: the proposal and votes of its view, the commits of any view, and what came of them. */
import type { Digest, ReplicaId, Slot, View } from "../../core/ids.ts";
import type { Batch, Verified } from "../../core/message.ts";
import type { Commit, PrePrepare, Prepare, PreparedCertificate } from "./messages.ts";

/** Views per sender whose COMMITs are kept for one slot; a certificate arrives whole and does not depend on it. */
const commitViewsMax = 4;

export interface CommitCertificate {
  readonly view: View;
  readonly digest: Digest;
  /** q COMMITs of distinct replicas (rule 22). */
  readonly commits: readonly Verified<Commit>[];
}

/** The body behind a digest, held by content. */
export interface KnownBody {
  readonly bytes: Uint8Array;
  readonly batch: Batch;
  /** The highest slot that named it; collected when that slot is. */
  slot: Slot;
}

export class SlotLog {
  readonly slot: Slot;
  /** The proposal accepted in the replica's view. One digest per (view, slot), ever (rule 13). */
  prePrepare: Verified<PrePrepare> | undefined;
  /** Votes for the replica's view, first one of each sender. */
  readonly prepares: Map<ReplicaId, Verified<Prepare>> = new Map();
  /** What this replica said in its view, to be said again in the same bytes (rules 50, 54). */
  ownPrepare: Verified<Prepare> | undefined;
  ownCommit: Verified<Commit> | undefined;
  /** The certificate of the highest view that ever prepared here; survives view changes (rule 31). */
  prepared: PreparedCertificate | undefined;
  /** Set once; the slot's fate. */
  committed: CommitCertificate | undefined;
  readonly #commits: Map<ReplicaId, Verified<Commit>[]> = new Map();
  /** Digests accepted here, the one of the latest view last. */
  #named: readonly Digest[] = [];

  constructor(slot: Slot) {
    this.slot = slot;
  }

  /** Notes that `digest` was accepted here. @param views - how many views are remembered */
  name(digest: Digest, views: number): void {
    this.#named = [...this.#named.filter((known) => known !== digest), digest].slice(-views);
  }

  /** Digests whose bodies this slot may still need: certificates name them, or this replica vouched for them by its vote (rule 15). */
  *bodiesNeeded(): Iterable<Digest> {
    yield* this.#named;
    if (this.prepared) yield this.prepared.prePrepare.message.digest;
    if (this.committed) yield this.committed.digest;
  }

  /** The slot lies at or below the stable checkpoint and is not executed here: nothing but its fate matters, and the body that may be it. */
  close(): void {
    this.leaveView();
    this.prepared = undefined;
  }

  /** Forgets what belonged to the view that is left. Certificates and COMMITs stay (rules 30, 31). */
  leaveView(): void {
    this.prePrepare = undefined;
    this.prepares.clear();
    this.ownPrepare = undefined;
    this.ownCommit = undefined;
  }

  /** The COMMIT known of `sender` for `view`, if any. */
  commitOf(sender: ReplicaId, view: View): Verified<Commit> | undefined {
    return this.#commits.get(sender)?.find((commit) => commit.message.view === view);
  }

  /** Records a COMMIT of any view, the newest few per sender (rules 18, 30). */
  addCommit(commit: Verified<Commit>): void {
    const { sender } = commit.message;
    const known = this.#commits.get(sender) ?? [];
    known.push(commit);
    known.sort((a, b) => b.message.view - a.message.view);
    this.#commits.set(sender, known.slice(0, commitViewsMax));
  }

  /** COMMITs of distinct replicas for exactly this view and digest, by sender. */
  commitsFor(view: View, digest: Digest): Verified<Commit>[] {
    const matching: Verified<Commit>[] = [];
    for (const known of this.#commits.values()) {
      const commit = known.find((candidate) => candidate.message.view === view && candidate.message.digest === digest);
      if (commit) matching.push(commit);
    }
    return matching.sort((a, b) => a.message.sender - b.message.sender);
  }

  /** Every (view, digest) that somebody committed to, highest view first. */
  commitChoices(): { view: View; digest: Digest }[] {
    const choices: { view: View; digest: Digest }[] = [];
    const seen = new Map<Digest, Set<View>>();
    for (const known of this.#commits.values()) {
      for (const { message } of known) {
        const { view, digest } = message;
        const views = seen.get(digest) ?? new Set<View>();
        if (views.has(view)) continue;
        seen.set(digest, views.add(view));
        choices.push({ view, digest });
      }
    }
    return choices.sort((a, b) => b.view - a.view || (a.digest < b.digest ? -1 : 1));
  }

  /** PREPAREs of distinct backups that match the accepted proposal, by sender (rule 17). */
  matchingPrepares(): Verified<Prepare>[] {
    const digest = this.prePrepare?.message.digest;
    return [...this.prepares.values()].filter((vote) => vote.message.digest === digest).sort((a, b) => a.message.sender - b.message.sender);
  }

  /** True when something is known of the slot but its fate is not. */
  get undecided(): boolean {
    return this.committed === undefined && (this.prePrepare !== undefined || this.prepares.size > 0 || this.#commits.size > 0);
  }
}

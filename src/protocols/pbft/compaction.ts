/** Leaving out of the records what a restart no longer needs, so that a log does not grow for ever (rules 72, 73; A84). Pure. */
import type { Cluster } from "../../core/cluster.ts";
import type { Digest, Slot } from "../../core/ids.ts";
import { viewsWithCorrectPrimary } from "../../core/quorum.ts";
import type { PbftRecord } from "./durable.ts";

type Of<T extends PbftRecord["type"]> = Extract<PbftRecord, { type: T }>;

/**
 * The records that decide what `recovery.ts` comes to, in their order: the last of each view's and checkpoint's records, and above the
 * stable checkpoint, slot by slot, the newest certificate and the newest proposals with the bodies that this replica vouched for.
 */
export function compact(records: readonly PbftRecord[], { f }: Pick<Cluster, "f">): readonly PbftRecord[] {
  const needs = new Needs(records, viewsWithCorrectPrimary(f));
  return records.filter((_, index) => needs.has(index));
}

/** Which records are needed, by their place; it looks at them newest first. */
class Needs {
  readonly #needed = new Set<number>();
  readonly #stable: number;
  readonly #newestSnapshot: number;
  /** What the last NEW-VIEW binds this replica to: it votes for these after a restart, if it has their bodies. */
  readonly #bound: ReadonlySet<Digest>;
  readonly #views: number;
  readonly #seen = new Set<string>();
  readonly #bodies = new Set<Digest>();
  readonly #accepted = new Map<Slot, Set<Digest>>();
  readonly #prepared = new Map<Slot, Digest>();

  constructor(records: readonly PbftRecord[], views: number) {
    const newView = records.findLast((record): record is Of<"new-view"> => record.type === "new-view");
    const stable = records.findLast((record): record is Of<"stable"> => record.type === "stable");
    this.#stable = stable?.proof[0]?.message.slot ?? 0;
    this.#newestSnapshot = records.reduce((newest, record) => (record.type === "snapshot" ? Math.max(newest, record.slot) : newest), 0);
    this.#bound = new Set(newView?.message.message.prePrepares.map(({ message }) => message.digest));
    this.#views = views;
    for (let index = records.length - 1; index >= 0; index--) {
      const record = records[index];
      if (record && this.#isNeeded(record)) this.#needed.add(index);
    }
  }

  has(index: number): boolean {
    return this.#needed.has(index);
  }

  #isNeeded(record: PbftRecord): boolean {
    switch (record.type) {
      case "accepted":
        return this.#isProposalNeeded(record);
      case "prepared": {
        const { slot, digest } = record.certificate.prePrepare.message;
        if (slot <= this.#stable || this.#prepared.has(slot)) return false;
        this.#prepared.set(slot, digest);
        return true;
      }
      case "snapshot":
        return (record.slot >= this.#stable || record.slot === this.#newestSnapshot) && this.#isFirst(`snapshot ${record.slot}`);
      default:
        return this.#isFirst(record.type);
    }
  }

  #isProposalNeeded({ message: { message, body } }: Of<"accepted">): boolean {
    const { slot, digest } = message;
    const isOpen = slot > this.#stable;
    const known = this.#accepted.get(slot) ?? new Set<Digest>();
    const isVote = isOpen && known.size < this.#views && !known.has(digest);
    const isBody = body !== undefined && !this.#bodies.has(digest);
    const isVouchedFor = this.#bound.has(digest) || (isOpen && this.#prepared.get(slot) === digest);
    if (!isVote && !(isBody && isVouchedFor)) return false;
    this.#accepted.set(slot, known.add(digest));
    if (body) this.#bodies.add(digest);
    return true;
  }

  #isFirst(what: string): boolean {
    const isFirst = !this.#seen.has(what);
    this.#seen.add(what);
    return isFirst;
  }
}

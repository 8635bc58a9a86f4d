/** What invalid signatures a peer may still cost. It outlives the peer's links, so reconnecting refills nothing (rule 90, A83). */
import type { NodeName } from "../core/ids.ts";
import { Recent } from "../crypto/recent.ts";
import { TokenBucket } from "../transport/token-bucket.ts";
import type { HostLimits } from "./limits.ts";

export class VerifyBudget {
  readonly #limits: HostLimits;
  readonly #buckets: Recent<NodeName, TokenBucket>;

  constructor(limits: HostLimits) {
    this.#limits = limits;
    this.#buckets = new Recent(limits.remembered);
  }

  /** True when nothing more of the peer is to be verified for now. @param now - monotonic ms */
  isSpent(peer: NodeName, now: number): boolean {
    return (this.#buckets.get(peer)?.take(0, now) ?? 0) > 0;
  }

  /** An invalid signature was paid for. */
  charge(peer: NodeName, now: number): void {
    const { badSignatures, badSignaturesPerSecond } = this.#limits;
    const known = this.#buckets.get(peer);
    // The last one of the burst leaves a debt, and whoever is in debt waits.
    const bucket = known ?? new TokenBucket(badSignaturesPerSecond, badSignatures - 1, now);
    if (known === undefined) this.#buckets.set(peer, bucket);
    bucket.take(1, now);
  }
}

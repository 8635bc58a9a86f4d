/** Links of open clients. Identities cost nothing, so they are counted together, and of one that is gone nothing is remembered (A68). */
import { openClientLimits } from "../core/cluster.ts";
import { nativeDigest } from "../crypto/native.ts";
import { openKeyCheck } from "../wire/open-client.ts";
import { isOpenPeer, type Peer } from "./peer.ts";
import { TokenBucket } from "./token-bucket.ts";

export class OpenLinks {
  readonly #isKeyOf = openKeyCheck(nativeDigest);
  readonly #enabled: boolean;
  readonly #calls: TokenBucket;

  /** @param enabled - whether the cluster file lets such clients take part  @param now - monotonic ms */
  constructor(enabled: boolean, now: number) {
    this.#enabled = enabled;
    this.#calls = new TokenBucket(openClientLimits.openLinksPerSecond, openClientLimits.openLinks, now);
  }

  /** The key that an open client showed, if it is one and gives that client its number (A70). */
  keyOf(peer: Peer, shown: Uint8Array | undefined): Uint8Array | undefined {
    return this.#enabled && shown && isOpenPeer(peer) && this.#isKeyOf(peer.id, shown) ? shown : undefined;
  }

  /** @param links - how many there are */
  mayOpen(links: number, now: number): boolean {
    return links < openClientLimits.openLinks && this.#calls.tryTake(1, now);
  }
}

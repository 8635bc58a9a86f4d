import { describe, expect, it } from "vitest";
import { defaultLimits } from "../../src/core/cluster.ts";
import { quorumsFor } from "../../src/core/quorum.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { type ClusterParameters, clusterDigest } from "../../src/wire/cluster-digest.ts";

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const base: ClusterParameters = {
  n: 4,
  f: 1,
  quorums: quorumsFor(4),
  limits: defaultLimits,
  replicaKeys: [key(1), key(2), key(3), key(4)],
  clientKeys: [key(5)],
};
const of = (change: Partial<ClusterParameters> = {}): string => clusterDigest({ ...base, ...change }, nobleDigest);

describe("the cluster digest", () => {
  it("is the same for the same cluster, in whatever order its numbers were written", () => {
    const reversed = Object.fromEntries(Object.entries(defaultLimits).reverse()) as unknown as typeof defaultLimits;
    expect(of({ limits: reversed })).toBe(of());
    expect(of()).toMatch(/^[0-9a-f]{64}$/);
  });

  it("changes with every number, key and order of keys (rule 86)", () => {
    const quorums = Object.keys(base.quorums).map((name) => of({ quorums: { ...base.quorums, [name]: 4 } }));
    const limits = Object.keys(defaultLimits).map((name) => of({ limits: { ...defaultLimits, [name]: 12345 } }));
    const others = [
      of({ n: 5 }),
      of({ f: 0 }),
      of({ replicaKeys: [key(2), key(1), key(3), key(4)] }),
      of({ replicaKeys: [key(1), key(2), key(3)], clientKeys: [key(4), key(5)] }),
      of({ clientKeys: [] }),
      of({ administratorKey: key(9) }),
      of({ openClients: true }),
      of({ administratorKey: key(9), openClients: true }),
    ];
    const all = [of(), ...quorums, ...limits, ...others];
    expect(all).toHaveLength(1 + 5 + 10 + 8);
    expect(new Set(all).size).toBe(all.length);
  });

  it("says nothing of open clients where there are none, and is as it was before there could be any", () => {
    expect(of({ openClients: false })).toBe(of());
    expect(of()).toBe("a56bd722aba7e9ac8830a9dbe41eaad0919495aabc0364de989176fcf0926008");
  });
});

import { describe, expect, it } from "vitest";
import { replicaId } from "../../src/core/ids.ts";
import { quorumsFor } from "../../src/core/quorum.ts";
import { healthOf } from "../../src/node/health.ts";
import { clientPeer, replicaPeer } from "../../src/transport/peer.ts";

const state = { view: 5, active: true, executed: 40, stable: 32, halted: false };

/** The page of replica 0 of four with links to so many others. */
function health(others: number, more: Partial<typeof state> = {}) {
  const links = [...Array.from({ length: others }, (_, index) => replicaPeer(index + 1)), clientPeer(1), clientPeer(2)];
  const page = healthOf({
    self: replicaId(0),
    cluster: { n: 4, quorums: quorumsFor(4) },
    state: { ...state, ...more },
    links,
    uptimeMs: 61_900,
  });
  return { ...page, body: JSON.parse(page.body) as Record<string, unknown> };
}

describe("the health of a replica", () => {
  it("is good when enough replicas are linked, whoever they are", () => {
    expect(health(2)).toEqual({
      status: 200,
      type: "application/json; charset=utf-8",
      body: {
        status: "ok",
        node: "replica-0",
        view: 5,
        primary: "replica-1",
        active: true,
        executed: 40,
        stable: 32,
        halted: false,
        links: { replicas: 2, clients: 2 },
        uptimeSeconds: 61,
      },
    });
  });

  it("is bad with one link too few for a quorum, and says so", () => {
    const { status, body } = health(1);
    expect(status).toBe(503);
    expect(body).toMatchObject({ status: "unavailable", why: "no quorum: 2 of 3 replicas within reach, this one included" });
  });

  it("is bad when the replica has halted, whatever its links", () => {
    const { status, body } = health(3, { halted: true });
    expect(status).toBe(503);
    expect(body["why"]).toBe("halted: more replicas lied than the cluster withstands");
  });

  it("is good while views change: that is what they are for", () => {
    expect(health(3, { active: false }).status).toBe(200);
  });
});

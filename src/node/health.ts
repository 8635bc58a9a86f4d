/** Whether a replica can do its part, for who watches it: one page of JSON, 200 or 503. */
import { type Cluster, primaryOf } from "../core/cluster.ts";
import type { CoreState } from "../core/contract.ts";
import { type ReplicaId, replicaName, type View } from "../core/ids.ts";
import type { HttpAnswer } from "../transport/pages.ts";
import type { Peer } from "../transport/peer.ts";

export interface HealthSetup {
  readonly self: ReplicaId;
  readonly cluster: Pick<Cluster, "n" | "quorums">;
  readonly state: CoreState;
  /** Peers with an open link. */
  readonly links: readonly Peer[];
  /** Since the replica started. */
  readonly uptimeMs: number;
}

/** 503 with the reason as `why` when the replica has halted, or is linked to too few others to be part of a quorum. */
export function healthOf({ self, cluster, state, links, uptimeMs }: HealthSetup): HttpAnswer {
  const { view, active, executed, stable, halted } = state;
  const replicas = links.filter(({ role }) => role === "replica").length;
  const why = halted ? "halted: more replicas lied than the cluster withstands" : tooFew(replicas + 1, cluster.quorums.order);
  const body = {
    status: why === undefined ? "ok" : "unavailable",
    ...(why !== undefined && { why }),
    node: replicaName(self),
    view,
    primary: replicaName(primaryOf(view as View, cluster.n)),
    active,
    executed,
    stable,
    halted,
    links: { replicas, clients: links.length - replicas },
    uptimeSeconds: Math.floor(uptimeMs / 1_000),
  };
  return { status: why === undefined ? 200 : 503, type: "application/json; charset=utf-8", body: `${JSON.stringify(body)}\n` };
}

function tooFew(linked: number, quorum: number): string | undefined {
  return linked < quorum ? `no quorum: ${linked} of ${quorum} replicas within reach, this one included` : undefined;
}

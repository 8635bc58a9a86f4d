/** What every replica and client of one cluster agrees on before the first message: who takes part and which numbers hold. */
import type { ClientId, Digest, ReplicaId, View } from "./ids.ts";
import type { Quorums } from "./quorum.ts";

/** Bounds and intervals. All but {@link Timing} are part of the cluster digest (rule 86). */
export interface Limits {
  /** K: a checkpoint is taken after executing every slot divisible by K (rule 25). */
  readonly checkpointInterval: number;
  /** L: how far the high watermark lies above the low one; at least 2K (rule 24). */
  readonly window: number;
  /** W: requests of one client in flight, and results kept per client (rules 59, 60). */
  readonly clientWindow: number;
  /** Slots that a primary keeps proposed but not executed. */
  readonly pipeline: number;
  /** Requests in one batch, at most. */
  readonly batchRequests: number;
  /** Bytes of one batch body, at most. */
  readonly batchBytes: number;
  /** Bytes of one operation, at most. */
  readonly operationBytes: number;
  /** Bytes of one result, at most; a longer one becomes an error result. */
  readonly resultBytes: number;
  /** Bytes of one frame, at most. */
  readonly frameBytes: number;
  /** delta: how far a proposed timestamp may lie from a backup's own wall interval, in ms (rule 79). */
  readonly timestampBoundMs: number;
}

/** Intervals in ms on the monotonic clock. They touch liveness only and are not part of the cluster digest. */
export interface Timing {
  /** T: how long the oldest pending request of a client may wait before the primary is suspected (rule 42). */
  readonly viewTimeoutMs: number;
  /** Tmax: the cap of the doubled timeout (rule 46). */
  readonly viewTimeoutMaxMs: number;
  /** Between STATUS messages while something is missing (rule 51). */
  readonly statusIntervalMs: number;
  /** Between STATUS messages of an idle replica. */
  readonly idleStatusIntervalMs: number;
}

/** A cluster as the cores see it: numbers and its digest; keys stay with the verifier. */
export interface Cluster {
  readonly id: Digest;
  readonly n: number;
  readonly f: number;
  readonly quorums: Quorums;
  readonly limits: Limits;
  readonly timing: Timing;
  /** All replicas, 0..n-1. */
  readonly replicas: readonly ReplicaId[];
  /** All registered clients, 1..m. */
  readonly clients: readonly ClientId[];
}

export const defaultLimits: Limits = {
  checkpointInterval: 32,
  window: 128,
  clientWindow: 256,
  pipeline: 8,
  batchRequests: 256,
  batchBytes: 512 * 1024,
  operationBytes: 64 * 1024,
  resultBytes: 64 * 1024,
  frameBytes: 8 * 1024 * 1024,
  timestampBoundMs: 10_000,
};

/**
 * Bounds of open clients, all of them together: identities cost nothing, so no bound can be for each (A68). Part of what execution
 * means, hence fixed and not configured.
 */
export const openClientLimits = {
  /** Open clients that ever take effect; rows of the dedup table are never evicted (A37). */
  openClients: 4096,
  /** Bytes of results that the dedup table keeps for them. */
  openResultBytes: 64 * 1024 * 1024,
  /** Their requests known to a replica and not executed. */
  openPending: 1024,
  /** Their links to one replica, which may all come back at once, */
  openLinks: 1024,
  /** and then so many per second. */
  openLinksPerSecond: 50,
} as const;

export const defaultTiming: Timing = {
  viewTimeoutMs: 500,
  viewTimeoutMaxMs: 2_000,
  statusIntervalMs: 100,
  idleStatusIntervalMs: 500,
};

/** The primary of view v is replica v mod n (rule 1). */
export function primaryOf(view: View, n: number): ReplicaId {
  return (view % n) as ReplicaId;
}

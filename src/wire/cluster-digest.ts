/** The cluster digest: everything that replicas and clients must agree on before they speak (rule 86). */
import type { Limits } from "../core/cluster.ts";
import type { DigestFunction } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";
import type { Quorums } from "../core/quorum.ts";
import { encode } from "./msgpack.ts";

export interface ClusterParameters {
  readonly n: number;
  readonly f: number;
  readonly quorums: Quorums;
  readonly limits: Limits;
  /** By replica number, 32 bytes each. */
  readonly replicaKeys: readonly Uint8Array[];
  /** Index 0 is client 1. */
  readonly clientKeys: readonly Uint8Array[];
  /** Signs re-admissions (rule 77). */
  readonly administratorKey?: Uint8Array;
  /** Whether clients in no file may take part. @defaultValue false */
  readonly openClients?: boolean;
}

/** Version of the cluster file and of this digest's layout. */
const formatVersion = 1;

/**
 * The digest that every signature names, so that clusters which differ in any number or key never accept each other's messages.
 *
 * @throws RangeError when a number is no integer in 0..2^53-1
 */
export function clusterDigest(parameters: ClusterParameters, digest: DigestFunction): Digest {
  const { n, f, quorums, limits, replicaKeys, clientKeys, administratorKey, openClients = false } = parameters;
  const bytes = encode([
    formatVersion,
    n,
    f,
    [quorums.order, quorums.viewChange, quorums.weak, quorums.reply, quorums.checkpoint],
    [
      limits.checkpointInterval,
      limits.window,
      limits.clientWindow,
      limits.pipeline,
      limits.batchRequests,
      limits.batchBytes,
      limits.operationBytes,
      limits.resultBytes,
      limits.frameBytes,
      limits.timestampBoundMs,
    ],
    replicaKeys,
    clientKeys,
    administratorKey ? [administratorKey] : [],
    // Left out where it says nothing, so that it changed no digest when it came.
    ...(openClients ? [1] : []),
  ]);
  return digest("cluster", bytes);
}

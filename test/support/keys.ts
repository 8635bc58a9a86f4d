/** A cluster with keys for tests. Secrets are counters, so that runs repeat. */
import { type Cluster, defaultLimits, defaultTiming, type Limits, type Timing } from "../../src/core/cluster.ts";
import { clientId, replicaId } from "../../src/core/ids.ts";
import { faultsTolerated, type Quorums, quorumsFor } from "../../src/core/quorum.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { nobleScheme, type SignatureScheme } from "../../src/crypto/signature.ts";
import { clusterDigest } from "../../src/wire/cluster-digest.ts";

export interface TestCluster {
  readonly cluster: Cluster;
  readonly scheme: SignatureScheme;
  readonly replicaSecrets: readonly Uint8Array[];
  readonly replicaKeys: readonly Uint8Array[];
  /** Index 0 is client 1. */
  readonly clientSecrets: readonly Uint8Array[];
  readonly clientKeys: readonly Uint8Array[];
}

export interface TestClusterOptions {
  /** @defaultValue 1 */
  readonly clients?: number;
  readonly f?: number;
  readonly quorums?: Partial<Quorums>;
  readonly limits?: Partial<Limits>;
  readonly timing?: Partial<Timing>;
  /** Sets this cluster's keys apart from those of another; below 256. @defaultValue 0 */
  readonly seed?: number;
  /** @defaultValue nobleScheme */
  readonly scheme?: SignatureScheme;
}

export function testCluster(n: number, options: TestClusterOptions = {}): TestCluster {
  const { clients = 1, f = faultsTolerated(n), seed = 0, scheme = nobleScheme } = options;
  const replicaSecrets = Array.from({ length: n }, (_, index) => testSecret(1, seed, index));
  const clientSecrets = Array.from({ length: clients }, (_, index) => testSecret(2, seed, index));
  const replicaKeys = replicaSecrets.map((secret) => scheme.publicKeyOf(secret));
  const clientKeys = clientSecrets.map((secret) => scheme.publicKeyOf(secret));
  const quorums = quorumsFor(n, f, options.quorums);
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const cluster: Cluster = {
    id: clusterDigest({ n, f, quorums, limits, replicaKeys, clientKeys }, nobleDigest),
    n,
    f,
    quorums,
    limits,
    timing: { ...defaultTiming, ...options.timing },
    replicas: replicaSecrets.map((_, index) => replicaId(index)),
    clients: clientSecrets.map((_, index) => clientId(index + 1)),
  };
  return { cluster, scheme, replicaSecrets, replicaKeys, clientSecrets, clientKeys };
}

function testSecret(role: number, seed: number, index: number): Uint8Array {
  const secret = new Uint8Array(32);
  secret.set([role, seed, index >>> 8, index & 255]);
  return secret;
}

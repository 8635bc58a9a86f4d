/** Real replica processes for a test, and clients that talk to them; all gone after the test. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClientCore } from "../../src/client/client-core.ts";
import { type ClientId, clientId, clientName, type NodeName, type ReplicaId } from "../../src/core/ids.ts";
import { nativeDigest, nativeScheme } from "../../src/crypto/native.ts";
import { perfectNetwork } from "../../src/faults/network.ts";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { toCluster } from "../../src/launch/cluster-file.ts";
import { type GeneratedCluster, type GenerateOptions, generateCluster } from "../../src/launch/keys.ts";
import { ReplicaSet, type ReplicaSetOptions } from "../../src/launch/replica-set.ts";
import { ClientHost } from "../../src/node/client-host.ts";
import { createOpener } from "../../src/wire/open.ts";
import { hexToBytes } from "../../src/wire/schema.ts";
import { createClientSeal } from "../../src/wire/seal.ts";

export interface Launched {
  readonly set: ReplicaSet;
  readonly keys: GeneratedCluster;
  /** Replicas that ended though nobody stopped them. */
  readonly deaths: string[];
  /** What a replica has written so far. */
  records(replica: number): TraceRecord[];
  connect(client: number): ClientHost;
}

const open = new Set<() => Promise<void>>();

/** For `afterEach`: ends what the test launched. */
export async function stopAll(): Promise<void> {
  const all = [...open].reverse();
  open.clear();
  for (const stop of all) await stop();
}

/** Ends it with the test. */
export function stopLater(stop: () => Promise<void>): void {
  open.add(stop);
}

export function secretsOf({ secrets }: GeneratedCluster): (node: NodeName) => Uint8Array {
  return (node) => secrets.get(node) as Uint8Array;
}

/** Replicas on ports that the system chooses, over a network without faults. */
export async function launch(
  directory: string,
  options: Partial<GenerateOptions> = {},
  more: Partial<ReplicaSetOptions> = {},
): Promise<Launched> {
  const keys = generateCluster({ replicas: 4, clients: 2, ...options });
  const deaths: string[] = [];
  const set = await ReplicaSet.start({
    file: keys.file,
    secretOf: secretsOf(keys),
    directory,
    network: perfectNetwork,
    seed: 1,
    traitors: new Map(),
    anyPort: true,
    onDeath: ({ message }) => deaths.push(message),
    ...more,
  });
  stopLater(() => set.stop());
  return {
    set,
    keys,
    deaths,
    records: (replica) => parseTrace(readFileSync(join(directory, `replica-${replica}.jsonl`), "utf8")),
    connect: (client) => connect(keys, set.urls, clientId(client)),
  };
}

function connect(keys: GeneratedCluster, urls: readonly string[], self: ClientId): ClientHost {
  const cluster = toCluster(keys.file);
  const secret = secretsOf(keys)(clientName(self));
  const replicaKeys = keys.file.members.map(({ publicKey }) => hexToBytes(publicKey));
  const seal = createClientSeal({ cluster: cluster.id, sender: self, incarnation: 0, sign: (bytes) => nativeScheme.sign(secret, bytes) });
  const client = new ClientHost({
    self,
    core: createClientCore({ self, cluster, seal, digest: nativeDigest }),
    opener: createOpener({
      schemas: {},
      cluster: cluster.id,
      limits: cluster.limits,
      replicaKeys,
      clientKeys: [],
      verify: nativeScheme.verify,
      digest: nativeDigest,
    }),
    replicas: replicaKeys.map((publicKey, id) => ({ id: id as ReplicaId, url: urls[id] as string, publicKey })),
    link: { secret, cluster: cluster.id, scheme: nativeScheme, frameBytes: cluster.limits.frameBytes },
    now: () => performance.now(),
    watcher: { sent: () => undefined, received: () => undefined, did: () => undefined },
  });
  stopLater(() => client.close());
  client.start();
  return client;
}

export const portOf = (url: string | undefined): number => Number(new URL(url ?? "").port);

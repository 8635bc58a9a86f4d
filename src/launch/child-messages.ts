/** What the launcher and a replica process tell each other over the process channel. Nothing of the protocol travels here. */
import type { NodeName } from "../core/ids.ts";
import type { LabError } from "../core/lab-error.ts";
import type { NetworkModel } from "../faults/network.ts";
import type { ClusterFile } from "./cluster-file.ts";

/** The first message a child gets. */
export interface ReplicaTask {
  readonly type: "task";
  readonly id: number;
  readonly file: ClusterFile;
  /** Of this node alone. */
  readonly secret: Uint8Array;
  readonly tracePath: string;
  readonly network: NetworkModel;
  readonly seed: number;
  readonly incarnation: number;
  /** Listen here; 0: let the system choose. */
  readonly port: number;
}

/** What a child that is to lie gets besides; an honest child does not know these words. */
export interface TraitorTask extends ReplicaTask {
  /** Behaviours as data; a custom one is found again in the scenario module. */
  readonly behaviours: readonly { readonly behaviour: string; readonly options: Readonly<Record<string, unknown>> }[];
  readonly module?: string;
}

export type ToChild =
  | ReplicaTask
  /** Where everybody listens: links may be dialled. */
  | { readonly type: "peers"; readonly urls: readonly string[] }
  /** Ms on the machine's monotonic clock that the run counts from; GST is counted in it. */
  | { readonly type: "origin"; readonly at: number }
  | { readonly type: "block"; readonly to: readonly NodeName[]; readonly from: readonly NodeName[] }
  | { readonly type: "stop" };

export type FromChild =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "links"; readonly replicas: number; readonly clients: number }
  /** How far the replica has got: for progress and for knowing when to stop, never for a verdict. */
  | { readonly type: "state"; readonly view: number; readonly executed: number; readonly active: boolean; readonly halted: boolean }
  /** The last message of a child: why it ends, in one line. */
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly exitCode: LabError["exitCode"] };

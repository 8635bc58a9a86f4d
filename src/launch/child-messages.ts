/** What the launcher and a replica of its set tell each other. Nothing of the protocol travels here. */
import type { NodeName } from "../core/ids.ts";
import type { LabError } from "../core/lab-error.ts";
import type { NetworkModel } from "../faults/network.ts";
import type { LogLevel } from "../node/log.ts";
import type { TlsSettings } from "../transport/tls.ts";
import type { ClusterFile } from "./cluster-file.ts";

/** The first message a replica gets. */
export interface ReplicaTask {
  readonly type: "task";
  readonly id: number;
  readonly file: ClusterFile;
  /** Of this node alone. */
  readonly secret: Uint8Array;
  /** Where its trace, its log and, should it crash, the stack go. */
  readonly directory: string;
  /** Whether it writes a trace: for a verdict; not for long use. */
  readonly trace: boolean;
  readonly log: LogSettings;
  readonly network: NetworkModel;
  readonly seed: number;
  readonly incarnation: number;
  /** Listen here; 0: let the system choose. */
  readonly port: number;
  readonly tls?: TlsSettings;
  /** Whether who sends an invalid signature is cut off; a laboratory run wants to see the lies after the first. */
  readonly penalties: boolean;
  /** Whether it has a process for itself. */
  readonly ownProcess: boolean;
}

/** How much a replica logs, and where: `replica-N.log` in its directory, or the launcher's stderr. */
export interface LogSettings {
  readonly level: LogLevel;
  readonly to: "file" | "stderr";
  /** For people instead of programs. */
  readonly pretty: boolean;
}

/** What a replica that is to lie gets besides; an honest one does not know these words. */
export interface TraitorTask extends ReplicaTask {
  /** Behaviours as data; a custom one is found again in the scenario module. */
  readonly behaviours: readonly { readonly behaviour: string; readonly options: Readonly<Record<string, unknown>> }[];
  readonly module?: string;
}

/** What may be told to a running replica, besides to stop. */
export type Told =
  /** Where everybody listens: links may be dialled. */
  | { readonly type: "peers"; readonly urls: readonly string[] }
  /** Ms on the machine's monotonic clock that the run counts from; GST is counted in it. */
  | { readonly type: "origin"; readonly at: number }
  | { readonly type: "block"; readonly to: readonly NodeName[]; readonly from: readonly NodeName[] }
  | { readonly type: "network"; readonly network: NetworkModel }
  /** Write down what is not yet in the trace file, and say so. */
  | { readonly type: "flush" };

export type ToReplica = Told | { readonly type: "stop" };

export type ToChild = ReplicaTask | ToReplica;

export type FromChild =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "links"; readonly replicas: number; readonly clients: number }
  /** How far the replica has got: for progress and for knowing when to stop, never for a verdict. */
  | {
      readonly type: "state";
      readonly view: number;
      readonly executed: number;
      readonly stable: number;
      readonly active: boolean;
      readonly halted: boolean;
    }
  | { readonly type: "flushed" }
  /** The last message of a child: why it ends, in one line. */
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly exitCode: LabError["exitCode"] };

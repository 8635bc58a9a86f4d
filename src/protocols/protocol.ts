/** How a protocol plugs into the laboratory: its messages and its core. Ours and anybody else's come by the same door. */
import type { Cluster } from "../core/cluster.ts";
import type { Core, CoreSetup } from "../core/contract.ts";
import type { AnyMessage } from "../core/message.ts";
import type { Schemas } from "../wire/schema.ts";

export interface Protocol<M extends AnyMessage, R = unknown> {
  /** As scenarios and the trace name it. */
  readonly name: string;
  /** One schema per message kind between replicas; requests and replies are the laboratory's own. */
  readonly messages: Schemas<M>;
  createCore(setup: CoreSetup<M>): Core<M, R>;
  /**
   * Leaves out the records that no restart needs any more: a core that starts with what remains, and anything appended later, is as one
   * that starts with all of them. Pure; applied again and again to what it gave and what came after.
   */
  compact(records: readonly R[], cluster: Cluster): readonly R[];
}

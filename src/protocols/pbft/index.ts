/**
 * PBFT (Castro & Liskov, OSDI'99) as a pure core. May import `core`, `wire` and nothing outward.
 *
 *   proposing -> agreement -> execution -> checkpointing        the normal case
 *   view-change -> new-view                                     changing the primary
 *   catch-up, transfer, recovery                                getting what was missed
 *   timers                                                      derived from the state after every step
 *
 * Unlike the paper: NEW-VIEW names its view changes by digest (rule 35), timers cover the oldest request of each client
 * (rule 42), and q is computed for any n (rule 2).
 */
import type { Protocol } from "../protocol.ts";
import { compact } from "./compaction.ts";
import type { PbftRecord } from "./durable.ts";
import { type PbftMessage, pbftSchemas } from "./messages.ts";
import { createPbftCore } from "./replica.ts";

export const pbft: Protocol<PbftMessage, PbftRecord> = { name: "pbft", messages: pbftSchemas, createCore: createPbftCore, compact };

export type { PbftRecord } from "./durable.ts";
export type { PbftMessage } from "./messages.ts";

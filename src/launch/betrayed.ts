/** A core that lies, from the behaviours that its replica was given. Only `traitor-main.ts` and sets within one process know this file. */
import { createRandom } from "../core/random.ts";
import type { Behaviour } from "../traitors/behaviour.ts";
import { betray } from "../traitors/betray.ts";
import { createTraitor } from "../traitors/catalogue.ts";
import type { ReplicaTask } from "./child-messages.ts";
import type { Handed, PbftCore } from "./replica-node.ts";

/** @throws LabError naming the behaviour or option that is wrong */
export function betrayed(core: PbftCore, task: ReplicaTask, handed: Handed, behaviours: readonly Behaviour[]): PbftCore {
  const random = createRandom(task.seed).fork(`traitor ${task.id}`);
  return betray(core, { ...handed, random }, behaviours.map(createTraitor));
}

/** The program of a replica that lies: the honest host around a core that is not left alone. */
import { LabError } from "../core/lab-error.ts";
import { createRandom } from "../core/random.ts";
import { betray } from "../traitors/betray.ts";
import { createTraitor } from "../traitors/catalogue.ts";
import type { Traitor } from "../traitors/traitor.ts";
import type { ReplicaTask, TraitorTask } from "./child-messages.ts";
import { loadScenario } from "./load-scenario.ts";
import { serveReplica } from "./replica-process.ts";

serveReplica(async (core, task, handed) => {
  const random = createRandom(task.seed).fork(`traitor ${task.id}`);
  return betray(core, { ...handed, random }, await traitorsOf(task));
});

/** Built-in behaviours came as data; a custom one is made again from the module that defines it. */
async function traitorsOf(task: ReplicaTask): Promise<Traitor[]> {
  const { behaviours, module } = task as TraitorTask;
  if (module === undefined) return behaviours.map(createTraitor);
  const scenario = await loadScenario(module);
  const again = scenario.traitors[task.id];
  if (!again) throw new LabError("bad-scenario", `${module}: it names no traitor ${task.id} when it is loaded again`);
  return again.map(createTraitor);
}

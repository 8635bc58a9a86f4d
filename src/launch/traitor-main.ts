/** The program of a replica that lies: the honest host around a core that is not left alone. */
import { LabError } from "../core/lab-error.ts";
import { betrayed } from "./betrayed.ts";
import type { ReplicaTask, TraitorTask } from "./child-messages.ts";
import { loadScenario } from "./load-scenario.ts";
import { serveReplica } from "./replica-process.ts";

serveReplica(async (core, task, handed) => betrayed(core, task, handed, await behavioursOf(task)));

/** Built-in behaviours came as data; a custom one is made again from the module that defines it. */
async function behavioursOf(task: ReplicaTask): Promise<Parameters<typeof betrayed>[3]> {
  const { behaviours, module } = task as TraitorTask;
  if (module === undefined) return behaviours;
  const scenario = await loadScenario(module);
  const again = scenario.traitors[task.id];
  if (!again) throw new LabError("bad-scenario", `${module}: it names no traitor ${task.id} when it is loaded again`);
  return again;
}

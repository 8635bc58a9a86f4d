/** The command line's spelling of a traitor: `0:equivocate`, `3:withhold(kinds=commit,to=1+2)`, `1:silent(when.views=0+1)`. */
import { LabError } from "../core/lab-error.ts";
import { type BehaviourData, choose } from "./behaviour.ts";
import { behaviourNamed } from "./catalogue.ts";

export interface PlacedTraitor {
  readonly node: number;
  readonly behaviour: BehaviourData;
}

const spelling = "NODE:BEHAVIOUR or NODE:BEHAVIOUR(OPTION=VALUE,...), like 0:equivocate or 3:withhold(kinds=commit,to=1+2)";

/**
 * Lists are joined by `+`, lists of lists by `/` besides; a dot leads into an option, as in `when.after.slot=10`.
 *
 * @throws LabError of one line, naming what is wrong and what is allowed
 */
export function parseTraitor(text: string): PlacedTraitor {
  const [, node, name = "", options] = /^(\d{1,4}):([A-Za-z]+)(?:\((.*)\))?$/.exec(text) ?? [];
  if (node === undefined) throw new LabError("bad-traitor", `traitor ${JSON.stringify(text)}: expected ${spelling}`);
  return { node: Number(node), behaviour: choose(behaviourNamed(name), parseAssignments(text, options ?? "")) };
}

type Tree = { [name: string]: unknown };

function parseAssignments(text: string, assignments: string): Tree {
  const tree: Tree = {};
  for (const assignment of assignments.split(",").filter((part) => part !== "")) {
    const at = assignment.indexOf("=");
    const path = assignment.slice(0, at).trim().split(".");
    if (at < 0 || path.includes("") || path.includes("__proto__"))
      throw new LabError("bad-traitor", `traitor ${JSON.stringify(text)}: expected OPTION=VALUE, got ${JSON.stringify(assignment)}`);
    assign(tree, path, parseValue(assignment.slice(at + 1).trim()));
  }
  return tree;
}

function assign(tree: Tree, path: readonly string[], value: unknown): void {
  const [name = "", ...rest] = path;
  if (rest.length === 0) {
    tree[name] = value;
    return;
  }
  const inner = tree[name];
  const branch: Tree = typeof inner === "object" && inner !== null && !Array.isArray(inner) ? (inner as Tree) : {};
  tree[name] = branch;
  assign(branch, rest, value);
}

function parseValue(text: string): unknown {
  if (text.includes("/")) return text.split("/").map((part) => part.split("+").map(parseScalar));
  return text.includes("+") ? text.split("+").map(parseScalar) : parseScalar(text);
}

function parseScalar(text: string): string | number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

import { describe, expect, it } from "vitest";
import { Rig } from "../support/rig.ts";

describe("four cores", () => {
  it("agree in the normal case and move the watermark", () => {
    const rig = new Rig();
    for (let number = 1; number <= 20; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle();
    }
    expect(rig.executed()).toEqual([20, 20, 20, 20]);
    expect(rig.cores.map((core) => core.inspect().stable)).toEqual([20, 20, 20, 20]);
    expect(new Set(rig.cores.map((_, id) => JSON.stringify(rig.decisions(id)))).size).toBe(1);
  });

  it("change the view when the primary is silent", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.settle();
    rig.advance(5000);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
    rig.heal();
    rig.advance(5000);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    expect(rig.views()).toEqual([1, 1, 1, 1]);
  });
});

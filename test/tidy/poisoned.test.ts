/** What no word list can show: a whole simulation runs where every clock, timer and source of chance of the host throws. */
import { describe, expect, it } from "vitest";
import { scenario } from "../../src/harness/scenario.ts";
import { formatRecord } from "../../src/harness/trace-text.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { traitors } from "../../src/traitors/catalogue.ts";

/** Where the host offers what would make two runs differ. */
const wells: readonly (readonly [object: object, name: string])[] = [
  [Math, "random"],
  [globalThis, "Date"],
  [globalThis, "performance"],
  [globalThis, "crypto"],
  [globalThis, "setTimeout"],
  [globalThis, "setInterval"],
  [globalThis, "setImmediate"],
  [globalThis, "queueMicrotask"],
  [globalThis, "fetch"],
  [globalThis, "process"],
];

/** Runs `action` while every use of a well throws, and puts the wells back. */
function poisoned<T>(action: () => T): T {
  const saved = wells.map(([object, name]) => [object, name, Object.getOwnPropertyDescriptor(object, name) ?? {}] as const);
  for (const [object, name] of wells) {
    // Not an arrow: what is constructed must be a function that can be.
    function poison(): never {
      throw new Error(`${name} was used`);
    }
    const traps = { apply: poison, construct: poison, get: poison };
    Object.defineProperty(object, name, { configurable: true, writable: true, value: new Proxy(poison, traps) });
  }
  try {
    return action();
  } finally {
    for (const [object, name, descriptor] of saved) Object.defineProperty(object, name, descriptor);
  }
}

const lossy = scenario({
  name: "poisoned",
  replicas: 4,
  traitors: { 0: traitors.equivocate() },
  network: { delay: ["1ms", "20ms"], loss: 0.05, duplicate: 0.05, reorder: 0.2, stableFrom: "2s" },
  workload: { clients: 2, operations: 16 },
});

const traceOf = (seed: number): string => simulate(lossy, { seed, checked: true }).records.map(formatRecord).join("\n");

describe("a simulation", () => {
  it("uses no clock, timer or chance of its host", () => {
    const trace = poisoned(() => traceOf(7));
    expect(trace).toContain('"event":"decide"');
    expect(trace).toContain('"event":"treason"');
  });

  it("writes the same bytes for the same seed, poisoned or not, and others for another", () => {
    const trace = traceOf(7);
    expect(poisoned(() => traceOf(7)) === trace).toBe(true);
    expect(traceOf(8) === trace).toBe(false);
  });
});

describe("the poison", () => {
  it.each<[string, () => unknown]>([
    ["Math.random()", () => Math.random()],
    ["Date.now()", () => Date.now()],
    ["new Date()", () => new Date()],
    ["performance.now()", () => performance.now()],
    ["setTimeout()", () => setTimeout(() => undefined, 0)],
    ["process.hrtime()", () => process.hrtime()],
    ["crypto.getRandomValues()", () => crypto.getRandomValues(new Uint8Array(1))],
  ])("works on %s, and is gone afterwards", (_, use) => {
    expect(() => poisoned(use)).toThrow("was used");
    expect(use).not.toThrow();
  });
});

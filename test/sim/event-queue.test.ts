/** The event queue against the plainest one there is: a list, sorted by time and then by order of insertion. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventQueue } from "../../src/sim/event-queue.ts";

function drained<E>(queue: EventQueue<E>): (readonly [at: number, event: E])[] {
  const all: (readonly [number, E])[] = [];
  for (let next = queue.pop(); next; next = queue.pop()) all.push([next.at, next.event]);
  return all;
}

describe("the event queue", () => {
  it("is empty at first, and again once everything was taken out", () => {
    const queue = new EventQueue<string>();
    expect(queue.pop()).toBeUndefined();
    queue.push(1, "only");
    expect(queue.size).toBe(1);
    expect(queue.pop()).toMatchObject({ at: 1, event: "only" });
    expect(queue.size).toBe(0);
    expect(queue.pop()).toBeUndefined();
  });

  it("gives the earliest first, and equal times in the order in which they were put in", () => {
    const queue = new EventQueue<string>();
    for (const [at, event] of [
      [5, "e"],
      [1, "b"],
      [5, "f"],
      [0.5, "a"],
      [1, "c"],
      [1, "d"],
    ] as const)
      queue.push(at, event);
    expect(drained(queue).map(([, event]) => event)).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("orders any mixture of pushes and pops like a sorted list does", () => {
    // Few distinct times, so that ties are common.
    const action = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 6 }) }, { weight: 1, arbitrary: fc.constant("pop" as const) });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const queue = new EventQueue<number>();
        const list: { at: number; event: number }[] = [];
        for (const [event, at] of actions.entries()) {
          if (at === "pop") {
            const expected = list.shift();
            expect(queue.pop()).toEqual(expected && expect.objectContaining(expected));
          } else {
            queue.push(at, event);
            list.push({ at, event });
            list.sort((a, b) => a.at - b.at || a.event - b.event);
          }
          expect(queue.size).toBe(list.length);
        }
        expect(drained(queue)).toEqual(list.map(({ at, event }) => [at, event]));
      }),
    );
  });
});

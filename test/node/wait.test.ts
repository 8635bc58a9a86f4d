import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { Wait } from "../../src/node/wait.ts";

describe("a wait", () => {
  it("is settled by whoever comes first, once", async () => {
    const wait = new Wait<number>({}, () => new Error("given up"));
    expect(wait.settled).toBe(false);
    wait.resolve(1);
    wait.reject(new Error("late"));
    wait.resolve(2);
    expect(wait.settled).toBe(true);
    await expect(wait.promise).resolves.toBe(1);
  });

  it("ends at its deadline with the error that it is given", async () => {
    const why: string[] = [];
    const wait = new Wait<number>({ timeoutMs: 1 }, (cause) => {
      why.push(cause);
      return new Error("too late");
    });
    await expect(wait.promise).rejects.toThrow("too late");
    expect(why).toEqual(["deadline"]);
  });

  it("ends when its signal does, and listens no more once it is settled", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const settled = new Wait<number>({ signal }, () => new Error("never"));
    const waiting = new Wait<number>({ signal }, (why) => (why === "abort" ? signal.reason : undefined));
    settled.resolve(1);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    controller.abort();
    await expect(waiting.promise).rejects.toMatchObject({ name: "AbortError" });
    await expect(settled.promise).resolves.toBe(1);
  });

  it.each([Number.POSITIVE_INFINITY, 2 ** 31, 1e12])(
    "does not end at once when the deadline is beyond what timers express: %d ms (M59)",
    async (timeoutMs) => {
      const wait = new Wait<string>({ timeoutMs }, () => new Error("at once"));
      const next = new Wait<string>({ timeoutMs: 10 }, () => new Error("the next deadline"));
      await expect(Promise.race([wait.promise, next.promise])).rejects.toThrow("the next deadline");
      wait.resolve("");
    },
  );
});

import { describe, expect, it } from "vitest";
import { type Admission, type BreakerSettings, CircuitBreaker, defaultBreaker } from "../../src/client/circuit-breaker.ts";

const settings: BreakerSettings = { failures: 3, coolDownMs: 100, coolDownMaxMs: 350 };

function ticketOf(admission: Admission): number {
  if (!admission.admitted) throw new Error("expected to be let through");
  return admission.ticket;
}

/** One that opened at time 0. */
function opened(): CircuitBreaker {
  const breaker = new CircuitBreaker(settings);
  for (let failure = 0; failure < settings.failures; failure++) breaker.timedOut(0, ticketOf(breaker.admit(0)));
  return breaker;
}

describe("a circuit breaker", () => {
  it("lets everything through while it is closed", () => {
    const breaker = new CircuitBreaker(settings);
    expect([0, 0, 0, 0, 0].map((now) => breaker.admit(now).admitted)).toEqual([true, true, true, true, true]);
    expect(breaker.state(0)).toBe("closed");
  });

  it("opens after as many deadlines in a row as `failures`, and says how many and until when", () => {
    const breaker = new CircuitBreaker(settings);
    const tickets = [0, 1, 2].map((now) => ticketOf(breaker.admit(now)));
    const states = tickets.map((ticket, index) => {
      breaker.timedOut(10 + index, ticket);
      return breaker.state(12);
    });
    expect(states).toEqual(["closed", "closed", "open"]);
    expect(breaker.admit(50)).toEqual({ admitted: false, failures: 3, retryInMs: 62 });
  });

  it("starts counting anew with every result", () => {
    const breaker = new CircuitBreaker(settings);
    for (let round = 0; round < 5; round++) {
      breaker.timedOut(0, ticketOf(breaker.admit(0)));
      breaker.timedOut(0, ticketOf(breaker.admit(0)));
      breaker.returned();
    }
    expect(breaker.state(0)).toBe("closed");
  });

  it("lets one probe through when `coolDownMs` are over, and nothing beside it", () => {
    const breaker = opened();
    expect(breaker.admit(99)).toEqual({ admitted: false, failures: 3, retryInMs: 1 });
    expect([breaker.state(99), breaker.state(100)]).toEqual(["open", "half-open"]);
    expect(breaker.admit(100).admitted).toBe(true);
    expect(breaker.admit(100)).toEqual({ admitted: false, failures: 3, retryInMs: 0 });
  });

  it("closes when the probe returns", () => {
    const breaker = opened();
    breaker.admit(100);
    breaker.returned();
    expect([breaker.state(100), breaker.admit(100).admitted, breaker.admit(100).admitted]).toEqual(["closed", true, true]);
  });

  it("closes at once when an operation returns that its caller had given up", () => {
    const breaker = opened();
    expect(breaker.admit(10).admitted).toBe(false);
    breaker.returned();
    expect(breaker.admit(10).admitted).toBe(true);
  });

  it("waits twice as long after each probe that fails, up to `coolDownMaxMs`, and starts small again once it was closed", () => {
    const breaker = opened();
    const waits: number[] = [];
    let now = 100;
    for (let probe = 0; probe < 4; probe++) {
      breaker.timedOut(now, ticketOf(breaker.admit(now)));
      const refused = breaker.admit(now);
      waits.push(refused.admitted ? 0 : refused.retryInMs);
      now += waits.at(-1) ?? 0;
    }
    expect(waits).toEqual([200, 350, 350, 350]);
    breaker.returned();
    for (let failure = 0; failure < 3; failure++) breaker.timedOut(now, ticketOf(breaker.admit(now)));
    expect(breaker.admit(now)).toMatchObject({ retryInMs: 100 });
  });

  it("learns nothing from deadlines of operations that went before it opened", () => {
    const breaker = new CircuitBreaker(settings);
    const tickets = [0, 0, 0, 0, 0].map((now) => ticketOf(breaker.admit(now)));
    for (const ticket of tickets.slice(0, 3)) breaker.timedOut(0, ticket);
    const probe = ticketOf(breaker.admit(100));
    breaker.timedOut(101, tickets[3] ?? 0);
    // Still half-open with its probe on the way: neither a longer cool-down nor a second probe.
    expect(breaker.admit(102)).toMatchObject({ admitted: false, retryInMs: 0 });
    breaker.timedOut(103, probe);
    breaker.timedOut(150, tickets[4] ?? 0);
    expect(breaker.admit(150)).toMatchObject({ admitted: false, retryInMs: 153 });
  });

  it("lets the next one be the probe when the last was withdrawn", () => {
    const breaker = opened();
    breaker.withdrawn(ticketOf(breaker.admit(100)));
    expect(breaker.admit(100).admitted).toBe(true);
  });

  it("takes no probe of an earlier outage for that of this one", () => {
    const breaker = opened();
    const old = ticketOf(breaker.admit(100));
    breaker.returned();
    for (let failure = 0; failure < 3; failure++) breaker.timedOut(200, ticketOf(breaker.admit(200)));
    breaker.admit(300);
    breaker.timedOut(301, old);
    breaker.withdrawn(old);
    expect(breaker.admit(301)).toMatchObject({ admitted: false, retryInMs: 0 });
  });

  it("never opens when no number of failures does", () => {
    const breaker = new CircuitBreaker({ ...defaultBreaker, failures: Number.POSITIVE_INFINITY });
    for (let failure = 0; failure < 1_000; failure++) breaker.timedOut(0, ticketOf(breaker.admit(0)));
    expect(breaker.state(0)).toBe("closed");
  });

  it.each([
    { failures: 0 },
    { failures: 1.5 },
    { failures: Number.NaN },
    { coolDownMs: 0 },
    { coolDownMs: Number.NaN },
    { coolDownMs: 500, coolDownMaxMs: 400 },
    { coolDownMaxMs: Number.POSITIVE_INFINITY },
  ])("refuses settings that make no sense: %o", (wrong) => {
    expect(() => new CircuitBreaker({ ...defaultBreaker, ...wrong })).toThrow(RangeError);
  });
});

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLog, type LogOptions } from "../../src/node/log.ts";
import { selfSigned } from "../transport/certificate.ts";

function logged(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({ node: "replica-2", destination: { write: (line) => void lines.push(line) }, ...options });
  return { log, lines };
}

const secret = randomBytes(32);
const { key } = selfSigned();
/** Every way in which the key could stand in a line. */
const spellings = [
  secret.toString("hex"),
  secret.toString("base64"),
  secret.toString("base64url"),
  [...secret].join(","),
  // Bytes as JSON writes them that knows them for an object.
  JSON.stringify({ ...secret }).slice(1, -1),
  key.slice(30, 60),
];
const expectNoKey = (lines: readonly string[]): void => {
  expect(lines.length).toBeGreaterThan(0);
  for (const spelling of spellings) expect(lines.join()).not.toContain(spelling);
};

describe("a log", () => {
  it("is one line of JSON for each call: time, level, node, fields, text", () => {
    const { log, lines } = logged();
    log.warn({ event: "link-down", peer: "replica-1", reason: "idle" }, "a link ended");
    const [line = ""] = lines;
    expect(line).toMatch(/^\{.*\}\n$/);
    const { time, ...rest } = JSON.parse(line) as Record<string, unknown>;
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(rest).toEqual({
      level: "warn",
      node: "replica-2",
      event: "link-down",
      peer: "replica-1",
      reason: "idle",
      msg: "a link ended",
    });
  });

  it.each([
    ["debug", ["debug", "info", "fatal"]],
    [undefined, ["info", "fatal"]],
    ["fatal", ["fatal"]],
    ["silent", []],
  ] as const)("of level %s writes that and what is worse", (level, expected) => {
    const { log, lines } = logged(level === undefined ? {} : { level });
    for (const each of ["trace", "debug", "info", "fatal"] as const) log[each](each);
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(expected);
  });

  it("is readable at a terminal, before the call returns", () => {
    const { log, lines } = logged({ pretty: true });
    log.info({ event: "link-up", peer: "replica-1" }, "a link opened");
    expect(lines.join("")).toMatch(/INFO.*a link opened.*"peer":"replica-1"/s);
    expect(lines.join("")).not.toMatch(/^\{/);
  });

  it("tells of an error what it is, and where it happened", () => {
    const { log, lines } = logged();
    log.error({ error: Object.assign(new RangeError("too far"), { code: "E_FAR", secret }) }, "it went wrong");
    const { error } = JSON.parse(lines[0] ?? "") as { error: Record<string, unknown> };
    expect(error).toMatchObject({ type: "RangeError", message: "too far", code: "E_FAR", secret: "[redacted]" });
    expect(error["stack"]).toContain("log.test.ts");
  });
});

describe("no private key comes out", () => {
  const holders: readonly (readonly [string, object])[] = [
    ["as the field of a task", { task: { id: 1, secret, file: { members: [{ id: 1 }] } } }],
    ["as bytes under any name", { bytes: secret, view: new Uint8Array(secret), buffer: Uint8Array.from(secret).buffer }],
    ["in a list deep inside", { a: { b: [{ c: { privateKey: secret.toString("hex") } }] } }],
    [
      "as text under the name of a key",
      { key: secret.toString("base64"), secretKey: secret.toString("hex"), passphrase: secret.toString("hex") },
    ],
    ["as a key file", { tls: { certificate: "fine", key }, pem: key, list: [key] }],
    ["in the cause of an error", { err: new Error("no", { cause: { secret } }), error: new Error(`cannot read ${key}`) }],
    ["in an object that holds itself", (() => Object.assign({ secret }, { self: {} as object }))()],
  ];
  it.each(holders)("%s", (_, holder) => {
    for (const pretty of [false, true]) {
      const { log, lines } = logged({ pretty });
      log.info(holder, "here it is");
      log.child(holder as Record<string, unknown>).info("and again");
      log.error(Object.assign(new Error("here"), holder));
      expectNoKey(lines);
    }
  });

  it("and no object breaks the log", () => {
    const { log, lines } = logged();
    fc.assert(
      fc.property(fc.object({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true, maxDepth: 9 }), (value) => {
        log.info(value);
        log.info({ value });
      }),
      { numRuns: 200 },
    );
    const cyclic: Record<string, unknown> = { secret };
    cyclic["self"] = cyclic;
    log.info(cyclic);
    expectNoKey(lines);
  });
});

import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import type { Digest } from "../../src/core/ids.ts";
import type { AnyMessage, Signed, Verified } from "../../src/core/message.ts";
import { pbftSchemas } from "../../src/protocols/pbft/messages.ts";
import {
  decodePayload,
  encodePayload,
  kindEntry,
  kindTable,
  type NestedMessage,
  signedBytes,
  signedPayload,
} from "../../src/wire/codec.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { flag, hexToBytes, list, nested, type Plain, type Schemas, uint, word } from "../../src/wire/schema.ts";

const cluster = "0c".repeat(32) as Digest;

interface Chain extends AnyMessage {
  readonly kind: "chain";
  readonly links: readonly Verified<Chain>[];
}
interface Toy extends AnyMessage {
  readonly kind: "toy";
  readonly count: number;
  readonly open: boolean;
  readonly colour: "red" | "blue";
}
const schemas: Schemas<Chain | Toy> = {
  chain: { code: 200, from: "replica", fields: { links: list(nested<Chain>("chain"), 3) } },
  toy: { code: 201, from: "replica", fields: { count: uint(9), open: flag, colour: word(["red", "blue"]) } },
};
const table = kindTable(schemas, cluster);
const toy = { kind: "toy", sender: 1, incarnation: 0, count: 3, open: true, colour: "blue" };

const read = (...plain: readonly Plain[]) => decodePayload(table, encode(plain), []);
const header = [1, hexToBytes(cluster), 201] as const;

function chainOf(length: number): Verified<Chain> {
  const links = length === 0 ? [] : [chainOf(length - 1)];
  const message: Chain = { kind: "chain", sender: 0, incarnation: 0, links };
  const payload = encodePayload(table, kindEntry(table, "chain"), message);
  return { message, payload, signature: new Uint8Array(64) } satisfies Signed<Chain> as Verified<Chain>;
}

describe("the table of kinds", () => {
  it("holds a protocol's kinds beside requests and replies", () => {
    expect([...kindTable(pbftSchemas, cluster).byKind.keys()]).toEqual(["request", "reply", ...Object.keys(pbftSchemas)]);
  });

  it("refuses a code that is taken, by the protocol itself or by the laboratory", () => {
    const twice = { a: { code: 50, from: "replica", fields: {} }, b: { code: 50, from: "replica", fields: {} } } as const;
    expect(() => kindTable(twice, cluster)).toThrow("message kind b: its code 50 is that of a");
    expect(() => kindTable({ a: { code: 2, from: "replica", fields: {} } }, cluster)).toThrow(
      "message kind a: its code 2 is that of reply",
    );
  });

  it("refuses a name that is taken or that no signature tag can be", () => {
    const named = (name: string) => () => kindTable({ [name]: { code: 50, from: "replica", fields: {} } }, cluster);
    expect(named("request")).toThrow("message kind request: the laboratory has a kind of this name");
    expect(named("handshake")).toThrow("and none of handshake");
    expect(named("a\0b")).toThrow("expected small letters, digits and hyphens");
    expect(named("")).toThrow("expected small letters, digits and hyphens");
    expect(named("good-1")).not.toThrow();
  });
});

describe("the signed bytes", () => {
  it("are the version, the cluster and the kind, set apart by zeros, and then the payload (rule 86)", () => {
    const zero = Uint8Array.of(0);
    const expected = concatBytes(utf8ToBytes("quorate/v1"), zero, hexToBytes(cluster), zero, utf8ToBytes("toy"), zero, Uint8Array.of(7, 8));
    expect(signedBytes(cluster, "toy", Uint8Array.of(7, 8))).toEqual(expected);
    expect(signedPayload(kindEntry(table, "toy"), Uint8Array.of(7, 8))).toEqual(expected);
  });
});

describe("a payload", () => {
  it("is version, cluster, code, [sender, incarnation] and the fields in order", () => {
    expect(encodePayload(table, kindEntry(table, "toy"), toy)).toEqual(encode([1, hexToBytes(cluster), 201, [1, 0], 3, 1, 1]));
  });

  it("comes back as the message that went in", () => {
    expect(read(...header, [1, 0], 3, 1, 1)).toMatchObject({ ok: true, message: toy });
  });

  it.each<[string, readonly Plain[], string, string]>([
    ["another version", [2, hexToBytes(cluster), 201, [1, 0], 3, 1, 1], "wrong-version", "expected version 1"],
    ["another cluster", [1, hexToBytes("0d".repeat(32)), 201, [1, 0], 3, 1, 1], "wrong-cluster", "expected this cluster's digest"],
    ["a shorter cluster", [1, hexToBytes("0c".repeat(31)), 201, [1, 0], 3, 1, 1], "wrong-cluster", "expected this cluster's digest"],
    ["an unknown code", [1, hexToBytes(cluster), 77, [1, 0]], "unknown-kind", "code 77"],
    ["a code that is no number", [1, hexToBytes(cluster), "toy", [1, 0]], "unknown-kind", "code missing"],
    ["nothing", [], "wrong-version", "expected version 1"],
    ["no header", [...header], "malformed", "expected [sender, incarnation]"],
    ["a header that is no pair", [...header, [1], 3, 1, 1], "malformed", "expected [sender, incarnation]"],
    ["a sender that is no number", [...header, ["1", 0], 3, 1, 1], "malformed", "expected [sender, incarnation]"],
    ["a field too few", [...header, [1, 0], 3, 1], "malformed", "expected 3 fields"],
    ["a field too many", [...header, [1, 0], 3, 1, 1, 0], "malformed", "expected 3 fields"],
    ["a number above its range", [...header, [1, 0], 10, 1, 1], "malformed", "expected an integer in 0..9"],
    ["a flag of 2", [...header, [1, 0], 3, 2, 1], "malformed", "expected 0 or 1"],
    ["a word that is none", [...header, [1, 0], 3, 1, 2], "malformed", "expected one of 2 words"],
  ])("with %s is refused", (_what, plain, code, detail) => {
    expect(read(...plain)).toMatchObject({ ok: false, code, detail });
  });

  it("that is no array is malformed", () => {
    expect(decodePayload(table, encode(5), [])).toMatchObject({ ok: false, code: "malformed", detail: "expected an array" });
  });

  it("that the wire cannot carry is the writer's error, in one line with its kind", () => {
    const write = (change: object) => () => encodePayload(table, kindEntry(table, "toy"), { ...toy, ...change });
    expect(write({ count: -1 })).toThrow(new RangeError("a toy that the wire cannot carry: expected an integer in 0..2^53-1, got -1"));
    expect(write({ colour: "green" })).toThrow("a toy that the wire cannot carry: expected an integer in 0..2^53-1, got -1");
    expect(() => kindEntry(table, "tyo")).toThrow("message kind tyo: expected one of request, reply, chain, toy");
  });
});

describe("messages inside messages", () => {
  const open = (payload: Uint8Array) => {
    const found: NestedMessage[] = [];
    return { result: decodePayload(table, payload, found), found };
  };

  it("are decoded two deep, and each is noted for the verifier", () => {
    const { result, found } = open(chainOf(2).payload);
    expect(result.ok).toBe(true);
    expect(found.map(({ entry }) => entry.kind)).toEqual(["chain", "chain"]);
    expect(found.map(({ signed }) => signed.payload)).toEqual([chainOf(0).payload, chainOf(1).payload]);
  });

  it("are refused three deep: messages within messages", () => {
    expect(open(chainOf(3).payload).result).toMatchObject({ ok: false, code: "malformed", kind: "chain" });
  });

  it("must be of a kind that may stand there", () => {
    const stranger = encodePayload(table, kindEntry(table, "toy"), toy);
    const payload = encode([1, hexToBytes(cluster), 200, [0, 0], [[stranger, new Uint8Array(64)]]]);
    expect(open(payload).result).toMatchObject({
      ok: false,
      code: "malformed",
      detail: "a message inside: expected chain here",
      kind: "chain",
    });
  });

  it("keep the code of what is wrong with them", () => {
    const foreign = kindTable(schemas, "0d".repeat(32) as Digest);
    const inner = encodePayload(foreign, kindEntry(foreign, "chain"), { ...chainOf(0).message });
    const payload = encode([1, hexToBytes(cluster), 200, [0, 0], [[inner, new Uint8Array(64)]]]);
    expect(open(payload).result).toMatchObject({ ok: false, code: "wrong-cluster", kind: "chain" });
  });

  it("are a payload and a signature of 64 bytes, nothing else", () => {
    for (const pair of [[chainOf(0).payload], [chainOf(0).payload, new Uint8Array(63)], [1, new Uint8Array(64)]]) {
      const payload = encode([1, hexToBytes(cluster), 200, [0, 0], [pair]]);
      expect(open(payload).result).toMatchObject({ ok: false, code: "malformed", detail: "expected a payload and a signature" });
    }
  });
});

/** What a stranger and a lying client send to the ports of a running set: no process dies, and an honest client is served meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { clientId, digestOf, requestNumber, slot, view } from "../../src/core/ids.ts";
import type { AnyMessage, Verified } from "../../src/core/message.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { toCluster } from "../../src/launch/cluster-file.ts";
import { type GeneratedCluster, generateCluster } from "../../src/launch/keys.ts";
import type { ReplicaSet } from "../../src/launch/replica-set.ts";
import { pbftSchemas } from "../../src/protocols/pbft/messages.ts";
import { decodeResult, kv } from "../../src/services/key-value.ts";
import type { HandshakeOptions } from "../../src/transport/handshake.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "../../src/transport/peer.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { hexToBytes } from "../../src/wire/schema.ts";
import { createSeal } from "../../src/wire/seal.ts";
import { useFolders } from "../support/folder.ts";
import { running } from "../support/processes.ts";
import { closeAll, Stranger } from "../transport/support.ts";
import { type Launched, launch, portOf, secretsOf, stopAll } from "./support.ts";

afterEach(closeAll);

const newFolder = useFolders();
const patience = { timeout: 20_000, interval: 20 };

const limits = { operationBytes: 4_096, batchBytes: 8_192, frameBytes: 16_384 };
const elsewhere = generateCluster({ replicas: 4, clients: 2, limits });

/** What `Stranger.shake` needs to pass for `self` at replica `at`. */
function identity(keys: GeneratedCluster, self: Peer, at: number): Omit<HandshakeOptions, "side" | "nonce" | "scheme" | "refuse"> {
  return {
    self,
    secret: secretsOf(keys)(peerName(self)),
    cluster: toCluster(keys.file).id,
    keyOf: () => hexToBytes(keys.file.members[at]?.publicKey ?? ""),
  };
}

function sealOf(keys: GeneratedCluster, self: Peer) {
  const secret = secretsOf(keys)(peerName(self));
  const sign = (bytes: Uint8Array) => nativeScheme.sign(secret, bytes);
  return createSeal({ schemas: pbftSchemas, cluster: toCluster(keys.file).id, sender: self.id, incarnation: 0, sign });
}

/** An honest client that asks on and on, and counts what came back. */
function keepAsking({ connect }: Launched) {
  const client = connect(1);
  let [asked, answered] = [0, 0];
  const ask = (): void => {
    client.invoke(kv.put("a", `${asked++}`)).then(
      (result) => {
        if (decodeResult(result).type === "ok") answered += 1;
        ask();
      },
      // Only the end of the test closes the client.
      () => undefined,
    );
  };
  ask();
  return {
    /** Fails the test unless more results come from now on. */
    async goesOn(): Promise<void> {
      const now = answered;
      await expect.poll(() => answered, patience).toBeGreaterThan(now + 2);
    },
  };
}

/** Every process is the one that was started, and it runs. */
async function expectUnharmed({ set, deaths }: Launched, pids: readonly (number | undefined)[]): Promise<void> {
  expect(set.pids).toEqual(pids);
  expect(running(pids)).toHaveLength(4);
  expect(deaths).toEqual([]);
}

describe("the ports of a running set", () => {
  let launched: Launched;
  let pids: ReplicaSet["pids"];
  let client: ReturnType<typeof keepAsking>;

  beforeAll(async () => {
    launched = await launch(newFolder(), { limits });
    pids = launched.set.pids;
    client = keepAsking(launched);
    await launched.set.linked(1);
  });
  afterAll(stopAll);

  it("close on strangers, whatever they say", async () => {
    const { set, keys } = launched;
    await client.goesOn();

    const donor = await Stranger.at(portOf(set.urls[0]));
    await donor.shake(identity(keys, clientPeer(2), 0));
    await expect.poll(() => donor.received.length, patience).toBe(2);
    const noise = Uint8Array.from({ length: 100 }, (_, index) => (index * 197 + 13) & 255);
    const [hello = noise, proof = noise] = donor.sent;

    const wrongKey = { ...identity(keys, clientPeer(2), 0), secret: secretsOf(elsewhere)("client-2") };
    const replay = (stranger: Stranger) => {
      stranger.send(hello);
      stranger.send(proof);
    };
    const attacks: readonly (readonly [what: string, closedWith: number, attack: (stranger: Stranger) => unknown])[] = [
      ["noise", 4000, (stranger) => stranger.send(noise)],
      ["nothing", 4000, (stranger) => stranger.send(new Uint8Array(0))],
      ["half a hello", 4000, (stranger) => stranger.send(hello.subarray(0, hello.length / 2))],
      ["a proof without a hello", 4000, (stranger) => stranger.send(proof)],
      ["text", 1003, (stranger) => stranger.socket.send("hello")],
      ["more than a stranger may say", 4000, (stranger) => stranger.send(new Uint8Array(limits.frameBytes + 1))],
      ["a handshake without the key", 4001, (stranger) => stranger.shake(wrongKey)],
      ["a handshake of another cluster", 4001, (stranger) => stranger.shake(identity(elsewhere, clientPeer(2), 0))],
      ["somebody's handshake once more", 4001, replay],
    ];
    for (const [what, closedWith, attack] of attacks) {
      const codes = set.urls.map(async (url) => {
        const stranger = await Stranger.at(portOf(url));
        await attack(stranger);
        return stranger.closed;
      });
      expect([what, ...(await Promise.all(codes))]).toEqual([what, closedWith, closedWith, closedWith, closedWith]);
    }
    await client.goesOn();
    await expectUnharmed(launched, pids);
  });

  it("take no nonsense from a client with a good key: each piece is a rejection in the trace", async () => {
    const { set, keys } = launched;
    await client.goesOn();

    const at = 1;
    const liar = await Stranger.at(portOf(set.urls[at]));
    await liar.shake(identity(keys, clientPeer(2), at));
    await expect.poll(() => liar.received.length, patience).toBe(2);

    const [mine, theirs] = [sealOf(keys, clientPeer(2)), sealOf(keys, clientPeer(1))];
    const operation = kv.put("b", "1");
    const request = { kind: "request", number: requestNumber(1), operation } as const;
    const frame = (signed: Verified<AnyMessage>) => encodeFrame(signed);
    const flipped = frame(mine(request));
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
    const digest = digestOf("ab".repeat(32));
    // Wanted whenever it comes; an old vote would be dropped before anybody looks at its signature.
    const fetch = { kind: "fetch", what: "batch", slot: slot(0), digest } as const;
    const reply = { kind: "reply", view: view(0), client: clientId(1), results: [] } as const;
    const lies: readonly (readonly [code: string, kind: string | undefined, frame: Uint8Array])[] = [
      ["malformed", undefined, Uint8Array.of(1, 2, 3)],
      ["malformed", undefined, frame(mine(request)).subarray(0, 60)],
      ["bad-signature", "request", flipped],
      ["peer-mismatch", "request", frame(theirs(request))],
      ["bad-signature", "fetch", frame(mine(fetch))],
      ["peer-mismatch", "fetch", frame(sealOf(keys, replicaPeer(3))(fetch))],
      ["peer-mismatch", "reply", frame(sealOf(keys, replicaPeer(3))(reply))],
      ["wrong-cluster", undefined, frame(sealOf(elsewhere, clientPeer(2))(request))],
      ["operation-too-large", "request", frame(mine({ ...request, operation: new Uint8Array(limits.operationBytes + 1) }))],
    ];
    for (const [, , lie] of lies) liar.send(lie);
    const rejected = () =>
      launched
        .records(at)
        .flatMap((record) => (record.event === "reject" && record.from === "client-2" ? [[record.code, record.kind]] : []));
    await expect.poll(rejected, patience).toEqual(lies.map(([code, kind]) => [code, kind]));

    // The lies cost nobody his link: the next request of the same client is served.
    liar.send(frame(mine(request)));
    await expect.poll(() => liar.received.length, patience).toBeGreaterThan(2);
    liar.send(new Uint8Array(limits.frameBytes + 1));
    expect(await liar.closed).toBe(1009);
    await client.goesOn();
    await expectUnharmed(launched, pids);
  });
});

/** Clients that stand in no cluster file, at the door of a replica: who gets a link, and how many (A68, A70). */
import { afterEach, describe, expect, it } from "vitest";
import { type ClientId, clientName, firstOpenClient } from "../../src/core/ids.ts";
import { nativeDigest, nativeScheme } from "../../src/crypto/native.ts";
import type { TransportNotice } from "../../src/transport/notice.ts";
import { OpenLinks } from "../../src/transport/open-links.ts";
import { clientPeer } from "../../src/transport/peer.ts";
import { openClientId } from "../../src/wire/open-client.ts";
import { unfitKeys } from "../crypto/unfit-keys.ts";
import { bytesOf, closeAll, Stranger, startClient, startReplica, until } from "./support.ts";

afterEach(closeAll);

const secretOf = (seed: number): Uint8Array => new Uint8Array(32).fill(60 + seed);
const keyOf = (seed: number): Uint8Array => nativeScheme.publicKeyOf(secretOf(seed));
const idOf = (seed: number): ClientId => openClientId(keyOf(seed), nativeDigest);
const dial = (seed: number, port: number, self = idOf(seed)) => startClient(0, port, { self, secret: secretOf(seed) });

describe("an open client", () => {
  it("has a link under its own number, both ways, where the cluster file allows it", async () => {
    const replica = await startReplica(1, new Map(), { openClients: true });
    const { link, frames } = dial(1, replica.port);
    await until(() => link.isOpen);
    expect(replica.events).toEqual([`${clientName(idOf(1))} up`]);
    link.send(bytesOf("ask"));
    await until(() => replica.frames.includes(`${clientName(idOf(1))}: ask`));
    replica.transport.sendToClient(idOf(1), bytesOf("answer"));
    await until(() => frames.includes("answer"));
  });

  it("rule 91: has none elsewhere", async () => {
    const replica = await startReplica(1);
    const { events } = dial(1, replica.port);
    await until(() => replica.transport.counters.count("unknown-sender") > 0 && events.length > 0);
    expect(replica.events).toEqual([]);
  });

  it("has none under a number that its key does not give, nor under a registered one", async () => {
    const replica = await startReplica(1, new Map(), { openClients: true });
    dial(1, replica.port, idOf(2));
    await until(() => replica.transport.counters.count("unknown-sender") > 0);
    // The number of another, whose key it shows: it cannot sign for that.
    const stranger = await Stranger.at(replica.port);
    const scheme = { ...nativeScheme, publicKeyOf: () => keyOf(2) };
    await stranger.shake({ self: clientPeer(idOf(2)), secret: secretOf(1), scheme });
    await until(() => replica.transport.counters.count("bad-signature") > 0);
    dial(1, replica.port, 1 as ClientId);
    await until(() => replica.transport.counters.count("bad-signature") > 1);
    expect(replica.events).toEqual([]);
  });

  it.each(unfitKeys)("A70: has none with a key that is $about", async ({ publicKey }) => {
    const replica = await startReplica(1, new Map(), { openClients: true });
    const stranger = await Stranger.at(replica.port);
    const scheme = { ...nativeScheme, publicKeyOf: () => publicKey };
    await stranger.shake({ self: clientPeer(openClientId(publicKey, nativeDigest)), secret: secretOf(1), scheme });
    await stranger.closed;
    expect(replica.transport.counters.count("unknown-sender")).toBe(1);
  });

  it("is counted with its like and under no name, and cut off from its link alone", async () => {
    const notices: TransportNotice[] = [];
    const replica = await startReplica(1, new Map(), { openClients: true, onNotice: (notice) => notices.push(notice) });
    const { link, events } = dial(1, replica.port);
    await until(() => link.isOpen);
    replica.transport.penalise(clientPeer(idOf(1)), "bad-key");
    expect(replica.transport.counters.count("bad-key")).toBe(1);
    expect(replica.transport.counters.count("bad-key", clientName(idOf(1)))).toBe(0);
    // It would come back under another name anyway, so nothing is remembered of it.
    expect(notices).toContainEqual({ type: "cut-off", peer: clientName(idOf(1)), reason: "bad-key", ms: 0 });
    await until(() => events.filter((event) => event === "open").length > 1);
  });

  it("has one link: a newer one takes the place of the old one", async () => {
    const replica = await startReplica(1, new Map(), { openClients: true });
    const first = dial(1, replica.port);
    await until(() => first.link.isOpen);
    dial(1, replica.port);
    await until(() => replica.transport.counters.count("replaced") > 0);
    expect(replica.transport.links()).toEqual([clientPeer(idOf(1))]);
  });
});

describe("the links of open clients", () => {
  it("A68: are bounded altogether by `openLinks`, and new ones by `openLinksPerSecond`", () => {
    const links = new OpenLinks(true, 0);
    expect(links.mayOpen(1_024, 0)).toBe(false);
    const opened = Array.from({ length: 1_100 }, () => links.mayOpen(1_023, 0)).filter(Boolean);
    expect(opened).toHaveLength(1_024);
    const aSecondLater = Array.from({ length: 100 }, () => links.mayOpen(0, 1_000)).filter(Boolean);
    expect(aSecondLater).toHaveLength(50);
  });

  it("need a key that is shown", () => {
    const links = new OpenLinks(true, 0);
    expect(links.keyOf(clientPeer(idOf(1)), keyOf(1))).toEqual(keyOf(1));
    expect(links.keyOf(clientPeer(idOf(1)), undefined)).toBeUndefined();
    expect(links.keyOf(clientPeer(1), keyOf(1))).toBeUndefined();
    expect(links.keyOf(clientPeer(firstOpenClient), keyOf(1))).toBeUndefined();
    expect(new OpenLinks(false, 0).keyOf(clientPeer(idOf(1)), keyOf(1))).toBeUndefined();
  });
});

/** The hostile peers as a process of their own: what they cost is not on the honest clients' bill. They attack loopback only, at stated rates. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { type RawData, WebSocket } from "ws";
import { clientId, type Digest, replicaId, requestNumber } from "../../src/core/ids.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { toCluster } from "../../src/launch/cluster-file.ts";
import { kv } from "../../src/services/key-value.ts";
import { dialReplica, type ReplicaLink } from "../../src/transport/dial.ts";
import { Handshake } from "../../src/transport/handshake.ts";
import { clientPeer } from "../../src/transport/peer.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { hexToBytes } from "../../src/wire/schema.ts";
import { createClientSeal } from "../../src/wire/seal.ts";
import { type AttackTask, attacks, type FromAttackers, type HostileRole, type Kind, kinds, type ToAttackers } from "./attacks.ts";
import { sleep, until } from "./support.ts";

type Target = AttackTask["targets"][number];

/** Half-open connections held at one replica, at most. */
const heldMax = 100;
const paceMs = 25;
/** Far above the numbers that a client may still use below it (rule 60). */
const farNumber = 100_000;

class Attackers {
  readonly #task: AttackTask;
  readonly #cluster: ReturnType<typeof toCluster>;
  readonly #sent = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;
  readonly #links = new Map<string, ReplicaLink>();
  readonly #held = new Map<Target, Set<Socket>>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #deaf = new Map<Target, WebSocket>();

  constructor(task: AttackTask) {
    this.#task = task;
    this.#cluster = toCluster(task.file);
  }

  /** Opens the links that last, and has a few requests executed that are of use only once. */
  async prepare(): Promise<void> {
    const { limits } = this.#cluster;
    for (const target of this.#task.targets) {
      for (const role of ["noisy", "bulky", "useless", "thief", "forger"] as const)
        this.#links.set(`${role} ${target.replica}`, this.#dial(target, role, { frameBytes: 2 * limits.frameBytes }));
    }
    await until("the hostile clients are linked", 30_000, () => [...this.#links.values()].every(({ isOpen }) => isOpen));
    // Moves the floor of this client far up, and leaves one cached result.
    this.#each("useless", this.#request("useless", farNumber, kv.get("nothing")));
    // A large value, to be asked for by who will not read it.
    const filler = "x".repeat(32 * 1024);
    const put = this.#request("deaf", 1, kv.put("filler", filler));
    const links = this.#task.targets.map((target) => this.#dial(target, "deaf", {}));
    await until("the deaf client is linked", 30_000, () => links.every(({ isOpen }) => isOpen));
    for (const link of links) link.send(put);
    await sleep(1_000);
    await Promise.all(links.map((link) => link.close()));
  }

  attack(): void {
    const { limits } = this.#cluster;
    const replay = this.#request("useless", farNumber, kv.get("nothing"));
    const stolen = this.#request("victim", 1, kv.put("stolen", "1"));
    const oversize = new Uint8Array(limits.frameBytes + 1);
    const bulky = this.#request("useless", farNumber + 1, new Uint8Array(limits.operationBytes + 1));
    let number = 0;

    this.#pace("bytes that are no HTTP", ({ url }) => this.#raw(url).write(randomBytes(200)));
    this.#pace("noise instead of a hello", ({ url }) => {
      const socket = this.#webSocket(url);
      socket.once("open", () => socket.send(randomBytes(100)));
    });
    this.#pace("broken WebSocket frames", ({ url }) => this.#breakWebSocket(url));
    this.#pace("handshakes without the key", (target) => this.#callOnce(target, { secret: Uint8Array.from(randomBytes(32)) }));
    this.#pace("handshakes for another cluster", (target) => this.#callOnce(target, { cluster: "ab".repeat(32) as Digest }));
    this.#pace("handshakes of nobody", (target) => this.#callOnce(target, { self: clientId(4_000) }));
    this.#pace("half-open connections", (target) => this.#holdOpen(target));
    this.#pace("connections that hang up", ({ url }) => {
      const socket = this.#webSocket(url);
      socket.once("open", () => socket.terminate());
    });
    this.#pace("links that hang up", (target) => this.#callOnce(target, {}));
    this.#pace("random frames", (target) => this.#over("noisy", target, randomBytes(1 + Math.floor(Math.random() * 300))));
    this.#pace("frames over the limit", (target) => this.#over("bulky", target, oversize));
    this.#pace("operations over the limit", (target) => this.#over("useless", target, bulky));
    this.#pace("requests below the floor", (target) => {
      number = (number % 1_000) + 1;
      return this.#over("useless", target, this.#request("useless", number, kv.put("late", `${Math.random()}`)));
    });
    this.#pace("one request again and again", (target) => this.#over("useless", target, replay));
    this.#pace("requests of somebody else", (target) => this.#over("thief", target, stolen));
    this.#pace("forged signatures", (target) => {
      number += 1;
      const forged = this.#request("forger", number, kv.put("forged", `${Math.random()}`));
      forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
      return this.#over("forger", target, forged);
    });
    const question = this.#request("deaf", 2, kv.get("filler"));
    this.#pace("questions whose answers nobody reads", (target) => this.#ask(target, question));
  }

  async stop(): Promise<Readonly<Record<Kind, number>>> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const sockets of this.#held.values()) for (const socket of sockets) socket.destroy();
    for (const socket of this.#deaf.values()) socket.terminate();
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    return this.#sent;
  }

  /** Does it so often a second, to each target in turn. What a stall of this process held up is not made good for longer than a second. */
  #pace(kind: Kind, act: (target: Target) => unknown): void {
    const { targets } = this.#task;
    const { perSecond } = attacks[kind];
    let [owed, at, turn] = [0, performance.now(), 0];
    const beat = (): void => {
      const now = performance.now();
      owed = Math.min(owed + ((now - at) * perSecond) / 1_000, Math.max(1, perSecond));
      at = now;
      for (; owed >= 1; owed -= 1) {
        const target = targets[turn++ % targets.length];
        if (target && act(target) !== false) this.#sent[kind] += 1;
      }
    };
    this.#timers.push(setInterval(beat, paceMs));
  }

  #raw(url: string): Socket {
    const { hostname, port } = new URL(url);
    return connect(Number(port), hostname)
      .on("error", () => undefined)
      .resume();
  }

  #webSocket(url: string): WebSocket {
    return new WebSocket(url, { perMessageDeflate: false }).on("error", () => undefined);
  }

  /** Upgrades by hand and sends a frame with reserved bits. */
  #breakWebSocket(url: string): void {
    const socket = this.#raw(url);
    const key = randomBytes(16).toString("base64");
    socket.write(
      `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    socket.once("data", () => socket.write(Uint8Array.of(0xf2, 0x80, 0, 0, 0, 0)));
  }

  /** Says half of a request and nothing more. @returns whether there was room for one more */
  #holdOpen(target: Target): boolean {
    const held = this.#held.get(target) ?? new Set();
    this.#held.set(target, held);
    if (held.size >= heldMax) return false;
    const socket = this.#raw(target.url);
    socket.write("GET / HTTP/1.1\r\nX-Slow: ");
    held.add(socket);
    socket.once("close", () => held.delete(socket));
    return true;
  }

  /** Calls as a client, and hangs up as soon as that has come to something. */
  #callOnce(target: Target, more: Partial<Pick<Parameters<typeof dialReplica>[0], "secret" | "cluster" | "self">>): void {
    const hangUp = (): void => void link.close();
    const link = this.#dial(target, "fickle", { ...more, onOpen: hangUp, onClose: hangUp });
  }

  #dial({ replica, url }: Target, role: HostileRole, more: Partial<Parameters<typeof dialReplica>[0]>): ReplicaLink {
    const { client, secret } = this.#identity(role);
    return dialReplica({
      url,
      replica: replicaId(replica),
      publicKey: hexToBytes(this.#task.file.members[replica]?.publicKey ?? ""),
      self: clientId(client),
      secret,
      cluster: this.#cluster.id,
      scheme: nativeScheme,
      frameBytes: this.#cluster.limits.frameBytes,
      onFrame: () => undefined,
      ...more,
    });
  }

  #identity(role: HostileRole): { readonly client: number; readonly secret: Uint8Array } {
    const identity = this.#task.secrets.get(role);
    if (!identity) throw new Error(`no key for the role ${role}`);
    return identity;
  }

  #request(role: HostileRole, number: number, operation: Uint8Array): Uint8Array {
    const { client, secret } = this.#identity(role);
    const sign = (bytes: Uint8Array) => nativeScheme.sign(secret, bytes);
    const seal = createClientSeal({ cluster: this.#cluster.id, sender: clientId(client), incarnation: 0, sign });
    return encodeFrame(seal({ kind: "request", number: requestNumber(number), operation }));
  }

  /** @returns whether there was a link to send on */
  #over(role: HostileRole, { replica }: Target, frame: Uint8Array): boolean {
    const link = this.#links.get(`${role} ${replica}`);
    if (!link?.isOpen) return false;
    link.send(frame);
    return true;
  }

  #each(role: HostileRole, frame: Uint8Array): void {
    for (const target of this.#task.targets) this.#over(role, target, frame);
  }

  /** Asks over a link that is never read from; opens it again when the replica has had enough. @returns whether it could ask */
  #ask(target: Target, question: Uint8Array): boolean {
    const known = this.#deaf.get(target);
    if (known === undefined) this.#deafLink(target);
    if (known?.readyState !== WebSocket.OPEN || !known.isPaused) return false;
    known.send(question);
    return true;
  }

  #deafLink(target: Target): void {
    const { client, secret } = this.#identity("deaf");
    const socket = this.#webSocket(target.url);
    this.#deaf.set(target, socket);
    const handshake = new Handshake({
      side: "dialer",
      self: clientPeer(clientId(client)),
      cluster: this.#cluster.id,
      secret,
      scheme: nativeScheme,
      nonce: Uint8Array.from(randomBytes(32)),
      keyOf: () => hexToBytes(this.#task.file.members[target.replica]?.publicKey ?? ""),
      refuse: () => undefined,
    });
    socket.once("open", () => socket.send(handshake.hello()));
    socket.on("message", (data: RawData) => {
      const step = handshake.receive(Uint8Array.from(data as Buffer));
      if (step.type === "continue") socket.send(step.send);
      else if (step.type === "open") socket.pause();
      else socket.terminate();
    });
    socket.once("close", () => this.#deaf.delete(target));
  }
}

let attackers: Attackers | undefined;
let cpuBefore = process.cpuUsage();

const tell = (message: FromAttackers): void => void process.send?.(message);

process.on("message", async (message: ToAttackers) => {
  if (message.type === "task") {
    attackers = new Attackers(message.task);
    await attackers.prepare();
    tell({ type: "ready" });
  } else if (message.type === "attack") {
    cpuBefore = process.cpuUsage();
    attackers?.attack();
  } else {
    const { user, system } = process.cpuUsage(cpuBefore);
    const sent = await attackers?.stop();
    if (sent) tell({ type: "done", sent, cpuSeconds: (user + system) / 1e6 });
    process.disconnect();
  }
});
process.on("disconnect", () => process.exit());

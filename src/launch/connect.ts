/** `connect()`: a client of a replica set, for programs. Numbers that survive restarts, a deadline for each operation, and no pile-up without a quorum. */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { type BreakerSettings, CircuitBreaker, defaultBreaker } from "../client/circuit-breaker.ts";
import { checkedRetry, createClientCore, defaultRetry, type RetryTiming } from "../client/client-core.ts";
import { sameBytes } from "../core/bytes.ts";
import { type Duration, durationMs } from "../core/duration.ts";
import { type ClientId, clientId, clientName, replicaId } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage } from "../core/message.ts";
import { nativeDigest, nativeScheme, strictScheme } from "../crypto/native.ts";
import { ClientHost, type ClientHostState, type ClientWatcher } from "../node/client-host.ts";
import { NumberStore } from "../node/number-store.ts";
import type { WaitOptions } from "../node/wait.ts";
import { decodeResult, type KeyValueResult, keyValueErrors, kv } from "../services/key-value.ts";
import type { TlsSettings } from "../transport/tls.ts";
import { createOpener } from "../wire/open.ts";
import { openClientId } from "../wire/open-client.ts";
import { bytesToHex, hexToBytes } from "../wire/schema.ts";
import { createClientSeal } from "../wire/seal.ts";
import { type ClusterFile, loadClusterFile, publicKeyOf, toCluster } from "./cluster-file.ts";
import { privateKeyPath, readPrivateKey } from "./keys.ts";

export interface ConnectOptions {
  /** A checked cluster file, or the path of one. */
  readonly cluster: ClusterFile | string;
  /** The client's number in it. @defaultValue 1 */
  readonly id?: number;
  /** Be a client that stands in no file, known by its key; only where the cluster file says `openClients`. @defaultValue false */
  readonly open?: boolean;
  /** The client's private key, 32 bytes. @defaultValue read from `client-ID.key` beside the cluster file; of an open client: a new one */
  readonly secret?: Uint8Array;
  /** Where the replicas listen, by number. @defaultValue the urls of the cluster file */
  readonly urls?: readonly string[];
  /** For `wss://` urls whose certificates the system does not trust. */
  readonly tls?: TlsSettings;
  /**
   * The file that remembers which request numbers were used (rule 62).
   *
   * @defaultValue `client-ID.numbers` beside the cluster file when that is given as a path and the client stands in it; else numbers start at 1, which suits
   * a client that connects once in its life
   */
  readonly numbers?: string;
  /** How long an operation may take, unless its call says otherwise. @defaultValue "30s" */
  readonly timeout?: Duration;
  /** When requests are sent again, and to all replicas. @defaultValue 250 ms, doubled up to 1000 ms */
  readonly retry?: Partial<RetryTiming>;
  /** When operations are refused at once. @defaultValue after 5 deadlines in a row, for 1 s, doubled up to 30 s */
  readonly breaker?: Partial<BreakerSettings>;
  /** Sees every message and every step, for a trace. */
  readonly watcher?: ClientWatcher;
  /** Monotonic ms. @defaultValue `performance.now` */
  readonly now?: () => number;
  /** Called when the client is closed. */
  readonly onClose?: () => void;
}

/**
 * A client of a replica set. Each operation is ordered among those of all clients and takes effect at most once. It is rejected with
 * a `LabError`: `timed-out` and `client-closed` leave the outcome unknown; `circuit-open`, `client-full`, `operation-too-large` and
 * the store's own codes (`bad-text`, `bad-key`, `bad-value`, `store-full`) mean that it had no effect. Operations may run side by side, in no
 * promised order (rule 59).
 */
export interface Client extends AsyncDisposable {
  readonly id: number;
  /** Key: 1..256 bytes of UTF-8; value: up to 32 KiB. */
  put(key: string, value: string, options?: WaitOptions): Promise<void>;
  /** @returns what stands under the key, or undefined */
  get(key: string, options?: WaitOptions): Promise<string | undefined>;
  /** Writes `value` where `expected` stands; undefined: where nothing does. @returns whether it did */
  cas(key: string, expected: string | undefined, value: string, options?: WaitOptions): Promise<boolean>;
  /** @returns whether there was such a key */
  del(key: string, options?: WaitOptions): Promise<boolean>;
  /** Bytes in, bytes out: an operation of whatever service the replicas run. */
  invoke(operation: Uint8Array, options?: WaitOptions): Promise<Uint8Array>;
  /**
   * @param replicas - how many. @defaultValue a quorum
   * @returns when links to so many replicas are open
   * @throws LabError `not-linked` when that takes longer than an operation may
   */
  linked(replicas?: number): Promise<void>;
  state(): ClientHostState;
  /**
   * Operations under way are rejected.
   *
   * @returns when the links are gone and the numbers kept
   * @throws LabError `unwritable-numbers`; some numbers are then skipped, and all else is closed
   */
  close(): Promise<void>;
}

/** How long an operation may take, unless somebody says otherwise. */
export const operationTimeout = { timeoutMs: 30_000 } as const;

/**
 * Connects as a client of a cluster, and stays connected until `close`. It does not wait for links: operations may be called at once.
 *
 * @throws LabError in one line that names what is wrong: a file, a key, an option, or another process under the same identity
 * @example
 * await using client = connect({ cluster: "keys/local/cluster.json" });
 * await client.put("a", "3");
 */
export function connect(options: ConnectOptions): Client {
  const {
    cluster: where,
    id = 1,
    timeout = operationTimeout.timeoutMs,
    onClose = () => undefined,
    now = () => performance.now(),
  } = options;
  const file = typeof where === "string" ? loadClusterFile(where) : where;
  const folder = typeof where === "string" ? dirname(where) : undefined;
  const timeoutMs = durationMs(timeout, "timeout");
  const retry = checked("retry", () => checkedRetry({ ...defaultRetry, ...options.retry }));
  const breaker = checked("breaker", () => new CircuitBreaker({ ...defaultBreaker, ...options.breaker }));
  const urls = urlsOf(file, options.urls);
  const { self, secret } = options.open ? openIdentity(file, options.secret) : registered(file, id, options.secret, folder);
  const publicKey = nativeScheme.publicKeyOf(secret);

  // Nothing after this may fail: somebody would have to let go of the file again.
  const numbersPath = options.numbers ?? (folder && !options.open ? join(folder, `${clientName(self)}.numbers`) : undefined);
  const numbers = numbersPath ? NumberStore.open(numbersPath, { publicKey: bytesToHex(publicKey) }) : undefined;
  const cluster = toCluster(file);
  const sign = (bytes: Uint8Array): Uint8Array => nativeScheme.sign(secret, bytes);
  const seal = createClientSeal({ cluster: cluster.id, sender: self, incarnation: 0, sign, ...(options.open && { publicKey }) });
  const replicaKeys = file.members.map(({ publicKey }) => hexToBytes(publicKey));
  const host = new ClientHost({
    self,
    core: createClientCore({
      self,
      cluster,
      seal,
      digest: nativeDigest,
      retry,
      random: Math.random,
      ...(numbers && { firstNumber: numbers.first }),
    }),
    opener: createOpener<AnyMessage>({
      schemas: {},
      cluster: cluster.id,
      limits: cluster.limits,
      replicaKeys,
      clientKeys: [],
      verify: nativeScheme.verify,
      digest: nativeDigest,
    }),
    replicas: replicaKeys.map((publicKey, replica) => ({ id: replicaId(replica), url: urls[replica] as string, publicKey })),
    link: {
      secret,
      cluster: cluster.id,
      scheme: strictScheme,
      frameBytes: cluster.limits.frameBytes,
      ...(options.tls && { tls: options.tls }),
    },
    ...(numbers && { numbers }),
    breaker,
    now,
    watcher: options.watcher ?? nobody,
  });
  host.start();
  return new KeyValueClient(host, { id: self, timeoutMs, quorum: cluster.quorums.order, onClose });
}

const nobody: ClientWatcher = { sent: () => undefined, received: () => undefined, did: () => undefined };

interface KeyValueClientSetup {
  readonly id: number;
  readonly timeoutMs: number;
  readonly quorum: number;
  readonly onClose: () => void;
}

class KeyValueClient implements Client {
  readonly #host: ClientHost;
  readonly #setup: KeyValueClientSetup;
  #closing: Promise<void> | undefined;

  constructor(host: ClientHost, setup: KeyValueClientSetup) {
    this.#host = host;
    this.#setup = setup;
  }

  get id(): number {
    return this.#setup.id;
  }

  async put(key: string, value: string, options?: WaitOptions): Promise<void> {
    await this.#ask(() => kv.put(key, value), options);
  }

  async get(key: string, options?: WaitOptions): Promise<string | undefined> {
    const result = await this.#ask(() => kv.get(key), options);
    return result.type === "value" ? result.value : undefined;
  }

  async cas(key: string, expected: string | undefined, value: string, options?: WaitOptions): Promise<boolean> {
    const result = await this.#ask(() => kv.cas(key, expected, value), options);
    return result.type === "ok";
  }

  async del(key: string, options?: WaitOptions): Promise<boolean> {
    const result = await this.#ask(() => kv.del(key), options);
    return result.type === "ok";
  }

  invoke(operation: Uint8Array, options: WaitOptions = {}): Promise<Uint8Array> {
    return this.#host.invoke(operation, { timeoutMs: this.#setup.timeoutMs, ...options });
  }

  linked(replicas = this.#setup.quorum): Promise<void> {
    return this.#host.linked(replicas, { timeoutMs: this.#setup.timeoutMs });
  }

  state(): ClientHostState {
    return this.#host.state();
  }

  close(): Promise<void> {
    this.#closing ??= this.#host.close().finally(this.#setup.onClose);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask(operation: () => Uint8Array, options?: WaitOptions): Promise<Exclude<KeyValueResult, { type: "error" }>> {
    return storeResult(await this.invoke(storeOperation(operation), options));
  }
}

/** @throws LabError `bad-text` for a key or value that cannot be written as UTF-8 */
export function storeOperation(make: () => Uint8Array): Uint8Array {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new LabError("bad-text", `keys and values: ${cause.message}`, { cause });
  }
}

/** What the key-value store answered. @throws LabError with the store's own code */
export function storeResult(bytes: Uint8Array): Exclude<KeyValueResult, { type: "error" }> {
  const result = decodeResult(bytes);
  if (result.type === "error") throw new LabError(result.code, `the store refused the operation: ${keyValueErrors[result.code]}`);
  return result;
}

interface Identity {
  readonly self: ClientId;
  readonly secret: Uint8Array;
}

function openIdentity(file: ClusterFile, secret: Uint8Array = Uint8Array.from(randomBytes(32))): Identity {
  if (!file.openClients)
    throw new LabError("not-open", 'the cluster takes no open clients: they need a cluster file that says "openClients": true');
  if (secret.length !== 32) throw new LabError("wrong-secret", `expected a private key of 32 bytes, got ${secret.length}`);
  return { self: openClientId(nativeScheme.publicKeyOf(secret), nativeDigest), secret };
}

function registered(file: ClusterFile, id: number, secret: Uint8Array | undefined, folder: string | undefined): Identity {
  if (file.clients.some((client) => client.id === id)) return { self: clientId(id), secret: secretOf(file, clientId(id), secret, folder) };
  const known = file.clients.length === 0 ? "no clients" : `the clients 1..${file.clients.length}`;
  throw new LabError("no-client", `there is no client ${id}: the cluster file names ${known}`);
}

function secretOf(file: ClusterFile, self: ClientId, secret: Uint8Array | undefined, folder: string | undefined): Uint8Array {
  const name = clientName(self);
  if (secret === undefined) {
    if (folder !== undefined) return readPrivateKey(privateKeyPath(folder, name), name, file);
    throw new LabError("no-secret", `${name} needs its private key: give \`secret\`, or the cluster file as a path beside its key`);
  }
  const expected = publicKeyOf(file, name);
  if (secret.length === 32 && expected && sameBytes(nativeScheme.publicKeyOf(secret), expected)) return secret;
  throw new LabError("wrong-secret", `this is not the private key that the cluster file names for ${name}`);
}

function urlsOf(file: ClusterFile, given: readonly string[] | undefined): readonly string[] {
  const urls = given ?? file.members.map(({ url }) => url);
  if (urls.length !== file.n) throw new LabError("bad-urls", `expected ${file.n} urls, one for each replica, got ${urls.length}`);
  const wrong = urls.find((url) => !URL.canParse(url) || !/^wss?:/.test(url));
  if (wrong !== undefined) throw new LabError("bad-urls", `expected urls such as "ws://127.0.0.1:7000", got ${JSON.stringify(wrong)}`);
  return urls;
}

function checked<T>(option: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new LabError("bad-option", `${option}: ${(cause as Error).message}`, { cause });
  }
}

/** What hostile peers do to the ports of `npm run hostile`, how often, and where the replicas must count it. */
import type { GeneratedCluster } from "../../src/launch/keys.ts";

export interface Attack {
  /** How often altogether; each replica that is attacked gets its part. */
  readonly perSecond: number;
  /** Metrics of which at least one must grow with it. */
  readonly counted: readonly string[];
  /** Sent over links that stay: nearly all of it must be counted. Others may make way for one another before they have said a word. */
  readonly all?: true;
  /** It takes so many seconds until the first is counted: a shorter run says nothing about it. */
  readonly after?: number;
}

const loss = (reason: string): string => `quorate_transport_losses_total{reason="${reason}"}`;
const rejection = (code: string): string => `quorate_rejections_total{code="${code}"}`;

/** Each is a kind of its own, with identities of its own where it needs some. */
export const attacks = {
  "bytes that are no HTTP": { perSecond: 20, counted: [loss("bad-http")] },
  "noise instead of a hello": { perSecond: 20, counted: [loss("early-frame")] },
  "broken WebSocket frames": { perSecond: 10, counted: [loss("bad-websocket")] },
  "handshakes without the key": { perSecond: 10, counted: [loss("handshake-failed")] },
  "handshakes for another cluster": { perSecond: 10, counted: [loss("wrong-cluster")] },
  "handshakes of nobody": { perSecond: 10, counted: [loss("unknown-sender")] },
  "half-open connections": { perSecond: 30, counted: [loss("handshake-timeout"), loss("too-many-connections")], after: 6 },
  "connections that hang up": { perSecond: 20, counted: [loss("connection-lost")] },
  "links that hang up": { perSecond: 15, counted: [loss("rate-limit")], after: 15 },
  "random frames": { perSecond: 200, counted: [rejection("malformed")], all: true },
  "frames over the limit": { perSecond: 0.5, counted: [loss("oversize")] },
  "operations over the limit": { perSecond: 20, counted: [rejection("operation-too-large")], all: true },
  "requests below the floor": { perSecond: 60, counted: [rejection("client-window")], all: true },
  "one request again and again": { perSecond: 60, counted: ['quorate_messages_total{kind="request",direction="received"}'], all: true },
  "requests of somebody else": { perSecond: 60, counted: [rejection("peer-mismatch")], all: true },
  "forged signatures": { perSecond: 10, counted: [rejection("bad-signature")] },
  "questions whose answers nobody reads": { perSecond: 120, counted: [loss("slow-reader"), loss("queue-full")], after: 25 },
} as const satisfies Record<string, Attack>;

export type Kind = keyof typeof attacks;
export const kinds = Object.keys(attacks) as readonly Kind[];

/** What the traitor replica does besides, told by a signal to its process. */
export const voteFlood = { signal: "SIGUSR2", perSecond: 200, counted: [rejection("buffer-full"), rejection("outside-window")] } as const;

/** The clients that attack, by what they do. */
export const hostileRoles = ["noisy", "bulky", "useless", "thief", "victim", "forger", "deaf", "fickle"] as const;
export type HostileRole = (typeof hostileRoles)[number];

/** What the attacking process is told: whom to attack, and as whom. */
export interface AttackTask {
  readonly file: GeneratedCluster["file"];
  /** Of the attackers all. */
  readonly secrets: ReadonlyMap<HostileRole, { readonly client: number; readonly secret: Uint8Array }>;
  /** The replicas under attack. */
  readonly targets: readonly { readonly replica: number; readonly url: string }[];
}

export type ToAttackers = { readonly type: "task"; readonly task: AttackTask } | { readonly type: "attack" } | { readonly type: "stop" };

export type FromAttackers =
  /** Links of the hostile clients are open, and what they need is set up. */
  | { readonly type: "ready" }
  /** How often each kind was done, and the CPU that it took. */
  | { readonly type: "done"; readonly sent: Readonly<Record<Kind, number>>; readonly cpuSeconds: number };

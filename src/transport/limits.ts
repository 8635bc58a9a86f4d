/** How much a peer may cost. Every bound is per link unless it says otherwise; ms and bytes. */

export interface TransportLimits {
  /** Unsent bytes in the socket above which frames wait in the outbox, where consensus overtakes client traffic. */
  readonly highWaterBytes: number;
  /** Outbox of a link to a replica; when full, the oldest frame of the lowest priority is dropped (A79). */
  readonly replicaQueueBytes: number;
  /** Outbox of a link to a client (A72). */
  readonly clientQueueBytes: number;
  /** Frames in one outbox, at most. */
  readonly queueFrames: number;
  /** Between two looks at a link. The counts below are in looks, not ms, so that a stall of our own accuses nobody. */
  readonly tickMs: number;
  /** Looks in a row at which nothing had been heard before the link is closed as idle; each sends a ping (A75). */
  readonly silentTicks: number;
  /** Looks in a row at which bytes waited and none was taken before the link is closed as a slow reader. */
  readonly stalledTicks: number;
  /** Looks in a row between which the outbox overflowed before the link is closed as a slow reader. */
  readonly overflowTicks: number;
  /** From the first byte of a connection to an authenticated link. */
  readonly handshakeMs: number;
  /** Bytes that a stranger may send after the WebSocket upgrade; both handshake messages take less than 300. */
  readonly strangerBytes: number;
  /** Connections that are not authenticated, altogether. */
  readonly strangers: number;
  /** The same, of one address. */
  readonly strangersPerAddress: number;
  /** Bytes of the headers of one HTTP request, be it for a page or for a WebSocket. */
  readonly headerBytes: number;
  /** Pages that are in the making or kept for who asks next, altogether. */
  readonly pages: number;
  /** How long a page is given out again before it is made anew. */
  readonly pageMs: number;
  /** Pieces of one frame; we never send more than one. */
  readonly fragments: number;
  /** Sustained rate of inbound frames; bursts of one second are free. */
  readonly replicaFramesPerSecond: number;
  readonly replicaBytesPerSecond: number;
  readonly clientFramesPerSecond: number;
  readonly clientBytesPerSecond: number;
  /** Links that one identity may open at once, and then per second. */
  readonly reconnectBurst: number;
  readonly reconnectsPerSecond: number;
  /** First and longest pause before dialling again; each is jittered over its upper half. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** First and longest time for which a penalised peer stays cut off; doubled each time, forgotten after as long without. */
  readonly penaltyMs: number;
  readonly penaltyMaxMs: number;
}

export const defaultTransportLimits: TransportLimits = {
  highWaterBytes: 512 * 1024,
  replicaQueueBytes: 32 * 1024 * 1024,
  clientQueueBytes: 4 * 1024 * 1024,
  queueFrames: 16_384,
  tickMs: 2_000,
  silentTicks: 5,
  stalledTicks: 5,
  overflowTicks: 15,
  handshakeMs: 5_000,
  strangerBytes: 4_096,
  strangers: 256,
  strangersPerAddress: 64,
  headerBytes: 8_192,
  pages: 16,
  pageMs: 250,
  fragments: 1_024,
  replicaFramesPerSecond: 100_000,
  replicaBytesPerSecond: 256 * 1024 * 1024,
  clientFramesPerSecond: 20_000,
  clientBytesPerSecond: 64 * 1024 * 1024,
  reconnectBurst: 20,
  reconnectsPerSecond: 2,
  backoffMs: 100,
  backoffMaxMs: 2_000,
  penaltyMs: 1_000,
  penaltyMaxMs: 60_000,
};

/** How much a peer may cost the host of a replica, beside what its link allows. */

export interface HostLimits {
  /** Invalid signatures of one peer that are checked at once; each costs milliseconds, also where nobody is cut off (rule 90, A83). */
  readonly badSignatures: number;
  /** And then per second. */
  readonly badSignaturesPerSecond: number;
  /** Peers whose invalid signatures are counted, and requests whose arrival is remembered for the metrics; beyond, the oldest is forgotten. */
  readonly remembered: number;
  /** Between two lines of the log that say the same, in ms; what came meanwhile is one line with a count. */
  readonly summaryMs: number;
  /** Lines that are told apart for that; what is beyond is counted by its event alone. */
  readonly summaries: number;
}

export const defaultHostLimits: HostLimits = {
  badSignatures: 50,
  badSignaturesPerSecond: 20,
  remembered: 4_096,
  summaryMs: 10_000,
  summaries: 256,
};

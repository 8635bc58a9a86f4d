/** What every WebSocket of the laboratory is opened with, on both sides. */

/** How long a closing socket may wait for the other side before it is cut, in ms. */
export const closingMs = 1_000;

/** No compression: it helps no signed frame and invites bombs (A78). */
export function socketSettings(frameBytes: number, fragments: number) {
  return { maxPayload: frameBytes, perMessageDeflate: false, maxFragments: fragments, maxBufferedChunks: 65_536, closeTimeout: closingMs };
}

/**
 * A process that invokes as fast as it can, numbers on disk, and tells each number that leaves in a request, until it is killed. No
 * replica is there: what counts is what leaves.
 */
import { writeSync } from "node:fs";
import type { Request } from "../../src/core/message.ts";
import { connect } from "../../src/launch/connect.ts";

const client = connect({
  cluster: process.argv[2] ?? "",
  retry: { firstMs: 1_000_000, maxMs: 1_000_000 },
  watcher: {
    // At once and not through a buffer: what was sent before SIGKILL is told before it.
    sent: (_from, _to, { message }) => {
      writeSync(1, `${(message as Request).number}\n`);
    },
    received: () => undefined,
    did: () => undefined,
  },
});

/** A new window of numbers whenever the event loop comes round, so that a kill falls between any two. */
function invokeMore(): void {
  for (let count = 0; count < 3; count++) client.invoke(new Uint8Array(1)).catch(() => undefined);
  setImmediate(invokeMore);
}
invokeMore();

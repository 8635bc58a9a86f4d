/** What the log of a replica is told of its links. */
import { connect } from "node:net";
import { afterEach, expect, it } from "vitest";
import type { TransportNotice } from "../../src/transport/notice.ts";
import { replicaPeer } from "../../src/transport/peer.ts";
import { asClient, Cable, closeAll, otherNodes, Stranger, startClient, startPair, startReplica, until } from "./support.ts";

afterEach(closeAll);

const quick = { backoffMs: 5, backoffMaxMs: 20 };

function listener() {
  const notices: TransportNotice[] = [];
  return { notices, onNotice: (notice: TransportNotice) => notices.push(notice) };
}

it("a link opens and ends, with who and why", async () => {
  const { notices, onNotice } = listener();
  const acceptor = await startReplica(1, new Map(), { onNotice });
  const cable = new Cable(acceptor.port);
  await startReplica(0, new Map([[1, await cable.plug()]]), { limits: quick });
  await until(() => notices.length === 1);
  cable.reset();
  await until(() => notices.length === 3);
  expect(notices).toEqual([
    { type: "link-up", peer: "replica-0" },
    { type: "link-down", peer: "replica-0", reason: "connection-lost" },
    { type: "link-up", peer: "replica-0" },
  ]);
});

it("a replica cannot be reached, and what the platform says of it", async () => {
  const { notices, onNotice } = listener();
  const gone = await startReplica(1);
  await gone.transport.close();
  await startReplica(0, new Map([[1, gone.port]]), { limits: quick, onNotice });
  await until(() => notices.length > 1);
  expect(notices[1]).toEqual({ type: "call-failed", peer: "replica-1", reason: "connection-lost", detail: "ECONNREFUSED" });
});

it("a stranger is refused, and from where; one that hangs up was not", async () => {
  const { notices, onNotice } = listener();
  const replica = await startReplica(1, new Map(), { onNotice });
  const polite = await Stranger.at(replica.port);
  polite.socket.close();
  await polite.closed;
  connect(replica.port, "127.0.0.1").end();
  const liar = await Stranger.at(replica.port);
  await liar.shake({ ...asClient(1), secret: otherNodes.clientSecrets[0] as Uint8Array });
  await liar.closed;
  expect(notices).toEqual([{ type: "stranger-refused", reason: "bad-signature", address: "127.0.0.1" }]);
});

it("a peer is cut off, why and for how long; what it tries meanwhile is refused", async () => {
  const { notices, onNotice } = listener();
  const limits = { ...quick, penaltyMs: 600_000, penaltyMaxMs: 600_000 };
  const { acceptor } = await startPair({ acceptor: { limits, onNotice }, dialer: { limits } });
  acceptor.transport.penalise(replicaPeer(0), "bad-signature");
  await until(() => notices.length > 3);
  expect(notices.slice(0, 4)).toEqual([
    { type: "link-up", peer: "replica-0" },
    { type: "cut-off", peer: "replica-0", reason: "bad-signature", ms: 600_000 },
    { type: "link-down", peer: "replica-0", reason: "penalised" },
    { type: "stranger-refused", reason: "penalised", address: "127.0.0.1" },
  ]);
});

it("nothing is told of the links that this side closes when it stops", async () => {
  const { notices, onNotice } = listener();
  const replica = await startReplica(1, new Map(), { onNotice });
  const client = startClient(1, replica.port);
  await until(() => client.events.includes("open"));
  await replica.transport.close();
  expect(notices).toEqual([{ type: "link-up", peer: "client-1" }]);
});

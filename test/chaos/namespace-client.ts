/** A client that runs in a namespace and does what `namespaces.ts` tells it, one answer for each message. */
import { statusOf } from "../../src/launch/probe.ts";
import { connect } from "../../src/node.ts";

export type ToClient = { readonly call: number } & (
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "get"; readonly key: string }
  /** How the replica at that url is, by its own word. */
  | { readonly type: "status"; readonly url: string }
  /** How often each replica contradicted what others said. */
  | { readonly type: "suspected" }
);

/** The answer to a call. */
export interface FromClient {
  readonly call: number;
  readonly result?: unknown;
  readonly error?: string;
}

const [cluster = "", id] = process.argv.slice(2);
const client = connect({ cluster, id: Number(id), timeout: "60s" });

process.on("message", (message: ToClient) => {
  const { call } = message;
  const tell = (answer: Omit<FromClient, "call">): void => void process.send?.({ call, ...answer });
  act(message).then(
    (result) => tell({ result }),
    (error: unknown) => tell({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());

async function act(message: ToClient): Promise<unknown> {
  if (message.type === "put") return client.put(message.key, message.value);
  if (message.type === "get") return client.get(message.key);
  if (message.type === "status") return statusOf(message.url);
  return client.state().counters.suspected;
}

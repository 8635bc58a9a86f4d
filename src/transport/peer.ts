/** Who stands at the other end of a link. The identity of a link is never that of a vote (rule 91). */
import type { ClientId, NodeName, ReplicaId } from "../core/ids.ts";
import { clientName, isOpenClient, replicaName } from "../core/ids.ts";

export type Peer = { readonly role: "replica"; readonly id: ReplicaId } | { readonly role: "client"; readonly id: ClientId };

export const replicaPeer = (id: number): Peer => ({ role: "replica", id: id as ReplicaId });
export const clientPeer = (id: number): Peer => ({ role: "client", id: id as ClientId });

/** A client that stands in no cluster file. */
export const isOpenPeer = (peer: Peer): boolean => peer.role === "client" && isOpenClient(peer.id);

/** The name under which traces and counters know it; also the key of a Map of peers. */
export function peerName(peer: Peer): NodeName {
  return peer.role === "replica" ? replicaName(peer.id) : clientName(peer.id);
}

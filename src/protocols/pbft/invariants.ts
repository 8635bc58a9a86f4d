/** What must hold after every step; checked in tests and in the simulator, never a condition of the protocol itself. */
import { primaryOf } from "../../core/cluster.ts";
import { invariant } from "../../core/invariant.ts";
import { isPreparedCertificate, provenCheckpoint, provenCommit } from "./certificates.ts";
import type { Context } from "./context.ts";

/** @throws InvariantError naming what is broken. */
export function assertInvariants(context: Context): void {
  const { cluster, stable, executed, high } = context;
  invariant(stable % cluster.limits.checkpointInterval === 0, `the stable slot ${stable} is no checkpoint`);
  invariant(
    stable === 0 || provenCheckpoint(cluster, context.stableProof)?.slot === stable,
    `the stable checkpoint ${stable} is not proven`,
  );
  for (const [slot, log] of context.slots) {
    invariant(slot > Math.min(stable, executed) && slot <= high, `slot ${slot} lies outside (${Math.min(stable, executed)}, ${high}]`);
    const proposal = log.prePrepare?.message;
    if (proposal) {
      invariant(proposal.sender === primaryOf(proposal.view, cluster.n), `slot ${slot} holds a proposal of a backup`);
      invariant(proposal.view <= context.view, `slot ${slot} holds a proposal of a later view`);
    }
    invariant(
      !log.ownPrepare || log.ownPrepare.message.digest === proposal?.digest,
      `slot ${slot}: the own PREPARE is not for the accepted digest`,
    );
    invariant(
      !log.ownCommit || log.ownCommit.message.digest === proposal?.digest,
      `slot ${slot}: the own COMMIT is not for the accepted digest`,
    );
    if (log.prepared) invariant(isPreparedCertificate(cluster, log.prepared), `slot ${slot}: the prepared certificate is none`);
    if (log.committed)
      invariant(
        provenCommit(cluster, log.committed.commits)?.digest === log.committed.digest,
        `slot ${slot}: the commit certificate is none`,
      );
    // A state that was restored or installed covers slots of which nothing else is known.
    const covered = [...context.snapshots.keys()].some((held) => held >= slot);
    if (slot <= executed) invariant(log.committed !== undefined || covered, `slot ${slot} was executed without a commit certificate`);
  }
  for (const [sender, { message }] of context.viewChanges) {
    invariant(message.sender === sender, `a view change of ${message.sender} stands under ${sender}`);
  }
  invariant(context.backlog.size <= 2 * cluster.limits.window * cluster.n, "the backlog exceeds its bound");
}

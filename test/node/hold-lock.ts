/** A process that takes a lock and keeps it until it is killed. */
import { FileLock } from "../../src/node/file-lock.ts";

try {
  FileLock.take(process.argv[2] ?? "", "wait for it");
  process.send?.("taken");
  // Whoever listens stays.
  process.on("message", () => undefined);
} catch (error) {
  process.send?.((error as Error).message, () => process.exit());
}

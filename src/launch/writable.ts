/** Writing where the user says: what the file system refuses is told in one line. */
import { LabError } from "../core/lab-error.ts";

/** Runs `write`. @throws LabError of one line that names the directory when the file system refuses */
export function writable<T>(directory: string, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    if (cause instanceof LabError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw new LabError("unwritable-directory", `${directory || '""'}: cannot write there (${code}); choose another directory`, { cause });
  }
}

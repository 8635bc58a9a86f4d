/**
 * Request numbers that survive a restart of their client (rule 62): a small file says below which number all may have been used.
 * Numbers are reserved in blocks ahead, so a crash skips some, which is harmless; none is ever given out twice.
 */
import { readFileSync } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { LabError } from "../core/lab-error.ts";
import { FileLock } from "./file-lock.ts";

/** Numbers reserved at a time. */
export const numbersAhead = 64;

export interface NumberStoreOptions {
  /** The client's public key, in hex: numbers belong to an identity, and a file of another one would hide what was used. */
  readonly publicKey: string;
  /** @defaultValue {@link numbersAhead} */
  readonly ahead?: number;
}

const schema = z.strictObject({
  publicKey: z.string().regex(/^[0-9a-f]{64}$/),
  /** Every number that was ever used lies below it. */
  next: z.int().min(1),
});

export class NumberStore {
  /** Above every number that was ever used. */
  readonly first: number;
  readonly #path: string;
  readonly #publicKey: string;
  readonly #ahead: number;
  readonly #lock: FileLock;
  /** Numbers below it may be used: the file says so durably. */
  #limit: number;
  #writing: Promise<void> | undefined;

  private constructor(path: string, { publicKey, ahead = numbersAhead }: NumberStoreOptions, lock: FileLock, first: number) {
    this.#path = path;
    this.#publicKey = publicKey;
    this.#ahead = ahead;
    this.#lock = lock;
    this.first = first;
    this.#limit = first;
  }

  /**
   * Takes the file for this holder alone. Without a file, numbers start at 1.
   *
   * @throws LabError of one line when somebody else holds it, or it is damaged or another key's
   */
  static open(path: string, options: NumberStoreOptions): NumberStore {
    const lock = FileLock.take(path, "a client runs once at a time, so connect as another one");
    try {
      return new NumberStore(path, options, lock, readNext(path, options.publicKey));
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Whether `number` may be used now. Reserves more in the background when half of the block is gone. */
  covers(number: number): boolean {
    // If that fails, whoever finds no number left hears why.
    if (number >= this.#limit - this.#ahead / 2) this.reserve(number).catch(() => undefined);
    return number < this.#limit;
  }

  /** @returns when more numbers than before are reserved, `number` among them. @throws LabError when the file cannot be written. */
  reserve(number: number): Promise<void> {
    this.#writing ??= this.#write(Math.max(number + this.#ahead, this.#limit)).finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Gives back what is reserved and was not used, from `next` on, and lets others have the file. */
  async close(next: number): Promise<void> {
    try {
      await this.#writing?.catch(() => undefined);
      await this.#write(Math.min(next, this.#limit));
    } finally {
      this.#lock.release();
    }
  }

  /** Written aside and renamed, so that a crash leaves the old file or the new one; the rename is durable with its folder (rule 75). */
  async #write(next: number): Promise<void> {
    const aside = `${this.#path}.new`;
    try {
      await synced(await open(aside, "w", 0o600), (file) => file.writeFile(`${JSON.stringify({ publicKey: this.#publicKey, next })}\n`));
      await rename(aside, this.#path);
      await synced(await open(dirname(this.#path), "r"));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new LabError("unwritable-numbers", `${this.#path}: cannot write this numbers file (${code})`, { cause });
    }
    this.#limit = next;
  }
}

function readNext(path: string, publicKey: string): number {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return 1;
    throw new LabError("unreadable-file", `${path}: cannot read this numbers file (${code})`, { cause });
  }
  const parsed = schema.safeParse(parseJson(text));
  if (!parsed.success)
    throw new LabError(
      "damaged-numbers",
      `${path}: expected {"publicKey": 64 hex digits, "next": an integer from 1}, where "next" lies above every number that this client used (rule 62); to start at 1 again the client needs a new key`,
    );
  if (parsed.data.publicKey !== publicKey)
    throw new LabError(
      "foreign-numbers",
      `${path}: these are the request numbers of another key; expected those of ${publicKey.slice(0, 16)}…`,
    );
  return parsed.data.next;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Durable before it is closed. */
async function synced(file: FileHandle, write?: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await write?.(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

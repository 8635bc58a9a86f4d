/**
 * The world or the user got in the way: a port is taken, a key file is missing, a field is wrong. One line that names what is
 * wrong and what to do; the command line prints it without a stack trace.
 */
export class LabError extends Error {
  override readonly name = "LabError";
  /** Stable name of the mistake, in kebab case: `port-in-use`. */
  readonly code: string;
  /** 2: bad usage or configuration; 3: the laboratory itself failed. */
  readonly exitCode: 2 | 3;

  constructor(code: string, message: string, options: { readonly exitCode?: 2 | 3; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.exitCode = options.exitCode ?? 2;
  }
}

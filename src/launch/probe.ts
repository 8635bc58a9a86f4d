/** Asks a replica how it is, over the HTTP side of its own port. */
import { get } from "node:http";
import { get as getSecurely } from "node:https";
import { LabError } from "../core/lab-error.ts";
import type { TlsSettings } from "../transport/tls.ts";

/** What a replica says of itself at `/health`. */
export interface ReplicaStatus {
  readonly node: string;
  /** `ok` while it can do its part: not halted, and linked to enough others. */
  readonly status: "ok" | "unavailable";
  /** Why it is unavailable, in one line. */
  readonly why?: string;
  readonly primary: string;
  readonly view: number;
  /** False while it changes views. */
  readonly active: boolean;
  readonly executed: number;
  readonly stable: number;
  readonly halted: boolean;
  readonly links: { readonly replicas: number; readonly clients: number };
}

/** How long a replica may take to answer, in ms. */
const patienceMs = 5_000;
/** Bytes of an answer, at most. */
const answerMax = 4 * 1024 * 1024;

/** @param url - as in the cluster file. @throws LabError when it does not answer, or with something else */
export async function statusOf(url: string, tls?: TlsSettings): Promise<ReplicaStatus> {
  return JSON.parse(await textOf(url, "/health", tls)) as ReplicaStatus;
}

/** @param path - `/health` or `/metrics`. @throws LabError when it does not answer */
export function textOf(url: string, path: string, tls?: TlsSettings): Promise<string> {
  const address = new URL(path, url.replace(/^ws/, "http"));
  const ask = address.protocol === "https:" ? getSecurely : get;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new LabError("no-answer", `${address.href}: ${why}`, { exitCode: 3 }));
    const request = ask(address, { timeout: patienceMs, ...(tls?.authority !== undefined && { ca: tls.authority }) }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > answerMax) request.destroy(new Error("the answer is too long"));
      });
      response.on("end", () => {
        // A replica that is not well says so with 503, and how it is.
        if (response.statusCode === 200 || (response.statusCode === 503 && text.startsWith("{"))) resolve(text);
        else fail(`it answered ${response.statusCode}`);
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${patienceMs / 1_000} s`)));
    request.on("error", (error) => fail(error.message));
  });
}

/** TLS as this laboratory wants it on both sides: version 1.3, and a certificate that names the host and leads to a trusted root. */
import { createSecureContext } from "node:tls";
import { LabError } from "../core/lab-error.ts";

/** PEM texts for `wss://`. `authority` replaces the system's trusted roots when this node dials. */
export interface TlsSettings {
  readonly key?: string;
  readonly certificate?: string;
  readonly authority?: string;
}

/** Every Node.js that runs this, every browser and every scraper of metrics knows it. */
const minVersion = "TLSv1.3";

/** To listen with. @throws LabError when the key or the certificate is missing, is no PEM, or does not belong to the other */
export function listenSettings({ key, certificate }: TlsSettings = {}) {
  if (key === undefined || certificate === undefined) {
    throw new LabError("missing-certificate", "a wss:// address needs a TLS key and certificate to listen with: give both, or use ws://");
  }
  try {
    createSecureContext({ key, cert: certificate });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LabError(
      "bad-certificate",
      `the TLS key and certificate cannot be used: ${reason}; both are PEM texts that belong together`,
      {
        cause: error,
      },
    );
  }
  return { key, cert: certificate, minVersion } as const;
}

/** To dial with. Said outright, so that no variable of the environment can switch the check off. */
export function dialSettings(tls: TlsSettings | undefined) {
  return { rejectUnauthorized: true, minVersion, ...(tls?.authority !== undefined && { ca: tls.authority }) } as const;
}

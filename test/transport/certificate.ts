/** A self-signed certificate for 127.0.0.1, made on the spot (RFC 5280, RFC 8410), so that no private key lies in the repository. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";

export interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

export function selfSigned(): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const spki = publicKey.export({ format: "der", type: "spki" });
  const serial = createHash("sha256").update(spki).digest().subarray(0, 8);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x01;
  const body = sequence(
    tagged(0xa0, integer(2)),
    der(0x02, serial),
    ed25519,
    name,
    sequence(text(0x18, "20200101000000Z"), text(0x18, "99991231235959Z")),
    name,
    spki,
    tagged(0xa3, sequence(sequence(oid(0x55, 0x1d, 0x11), der(0x04, sequence(der(0x87, Buffer.of(127, 0, 0, 1))))))),
  );
  const whole = sequence(body, ed25519, der(0x03, Buffer.concat([Buffer.of(0), sign(null, body, privateKey)])));
  const lines = whole.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    key: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  return der(tag, content);
}

function integer(value: number): Buffer {
  return der(0x02, Buffer.of(value));
}

function oid(...bytes: readonly number[]): Buffer {
  return der(0x06, Buffer.of(...bytes));
}

function text(tag: number, value: string): Buffer {
  return der(tag, Buffer.from(value, "latin1"));
}

const ed25519 = sequence(oid(0x2b, 0x65, 0x70));
const name = sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), text(0x0c, "quorate test"))));

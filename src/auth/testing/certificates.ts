import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate with its private key, both as PEM. */
export interface Certified {
  readonly certificate: string;
  readonly privateKey: string;
}

/** A certificate authority of a test, made of DER by hand so that no program is needed for it. */
export class TestAuthority {
  readonly #name: Buffer;
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  /** The authority's own certificate, for `tls-ca-file`. */
  readonly certificate: string;

  constructor(name = "Jacamar test authority") {
    this.#name = distinguishedName(name);
    this.certificate = pem("CERTIFICATE", this.#sign(this.#name, this.#keys.publicKey, [basicConstraints], 1));
  }

  /** @param days until it expires; less than zero: it has. */
  certify(host: string, days = 1): Certified {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const subject = distinguishedName(host);
    return {
      certificate: pem("CERTIFICATE", this.#sign(subject, publicKey, [alternativeName(host)], days)),
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }),
    };
  }

  #sign(subject: Buffer, publicKey: KeyObject, extensions: readonly Buffer[], days: number): Buffer {
    const day = 24 * 3600 * 1000;
    const toBeSigned = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      ecdsaWithSha256,
      this.#name,
      sequence(utcTime(Date.now() - 10 * day), utcTime(Date.now() + days * day)),
      subject,
      createPublicKey(publicKey.export({ type: "spki", format: "pem" })).export({ type: "spki", format: "der" }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", toBeSigned, this.#keys.privateKey);
    return sequence(toBeSigned, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  }
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return der(0x30, ...contents);
}

function objectId(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

const ecdsaWithSha256 = sequence(objectId("2a8648ce3d040302"));
const truth = der(0x01, Buffer.from([0xff]));
/** It is an authority. */
const basicConstraints = sequence(objectId("551d13"), truth, der(0x04, sequence(truth)));

/** The host: an IPv4 address or a name. */
function alternativeName(host: string): Buffer {
  const isAddress = /^[\d.]+$/.test(host);
  const name = isAddress ? der(0x87, Buffer.from(host.split(".").map(Number))) : der(0x82, Buffer.from(host));
  return sequence(objectId("551d11"), der(0x04, sequence(name)));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(der(0x31, sequence(objectId("550403"), der(0x0c, Buffer.from(commonName)))));
}

function utcTime(milliseconds: number): Buffer {
  const digits = new Date(milliseconds)
    .toISOString()
    .replace(/\..*$/, "")
    .replace(/[^0-9]/g, "");
  return der(0x17, Buffer.from(`${digits.slice(2)}Z`));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

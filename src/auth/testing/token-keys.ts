import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** Members of a header or claims; undefined takes a member out. */
export type Members = Readonly<Record<string, unknown>>;

/** A key pair of a server's, with the JWK that the server publishes for it. */
export interface TokenKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicKey: KeyObject;
  readonly jwk: Members;
  /** Signs a token. A text or bytes stand for the JSON itself. */
  sign(claims: Members | string, header?: Members | string): string;
}

/** A key as GitLab makes it: RSA, RS256, its id a thumbprint. */
export function makeTokenKey(alg = "RS256", bits = 2048): TokenKey {
  const curve = { ES256: "P-256", ES384: "P-384", ES512: "P-521" }[alg];
  const { publicKey, privateKey } =
    curve === undefined
      ? generateKeyPairSync("rsa", { modulusLength: bits })
      : generateKeyPairSync("ec", { namedCurve: curve });
  const material = publicKey.export({ format: "jwk" });
  const kid = createHash("sha256").update(JSON.stringify(material)).digest("base64url");
  return {
    kid,
    alg,
    publicKey,
    jwk: { ...material, kid, use: "sig", alg },
    sign: (claims, header = {}) => {
      const encodedHeader = encode(typeof header === "string" ? header : { alg, typ: "JWT", kid, ...header });
      const signed = `${encodedHeader}.${encode(claims)}`;
      return `${signed}.${signature(alg, privateKey, signed).toString("base64url")}`;
    },
  };
}

/** Base64url of a text, or of members as JSON. */
export function encode(value: Members | string): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

function signature(alg: string, key: KeyObject, signed: string): Buffer {
  const digest = `sha${alg.slice(2)}`;
  const data = Buffer.from(signed);
  if (alg.startsWith("ES")) return sign(digest, data, { key, dsaEncoding: "ieee-p1363" });
  if (alg.startsWith("RS")) return sign(digest, data, key);
  const saltLength = Number(alg.slice(2)) / 8;
  return sign(digest, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

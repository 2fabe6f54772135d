import { BlockList, isIP } from "node:net";
import { isLoopback } from "./key-server.ts";

/** How a server is reached. `address` may hold a password; `shown` does not. */
export type Route =
  | { readonly kind: "direct" }
  | { readonly kind: "proxy"; readonly address: string; readonly shown: string }
  | { readonly kind: "unusable"; readonly why: string };

/**
 * The proxy for an address, by `HTTPS_PROXY` and `NO_PROXY`, or their small forms, of the driver's own environment. They are
 * read as GitLab Runner reads them for its own requests (Go's `httpproxy`): `NO_PROXY` takes a domain with all below it, a
 * domain below `.it` alone, an address, a network (`10.0.0.0/8`), each with a port or without, and `*`. This machine is
 * never asked for through a proxy.
 */
export function routeTo(url: URL, environment: Readonly<NodeJS.ProcessEnv>): Route {
  const proxy = (environment.HTTPS_PROXY || environment.https_proxy || "").trim();
  if (proxy === "" || url.protocol !== "https:" || isLoopback(url.hostname)) return { kind: "direct" };
  const exceptions = (environment.NO_PROXY || environment.no_proxy || "").split(",");
  if (exceptions.some((exception) => covers(exception.trim().toLowerCase(), url))) return { kind: "direct" };
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  let parsed: URL;
  try {
    parsed = new URL(address);
    decodeURIComponent(`${parsed.username}${parsed.password}`);
  } catch {
    return { kind: "unusable", why: "HTTPS_PROXY is not an address" };
  }
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
    return { kind: "unusable", why: `HTTPS_PROXY names a ${parsed.protocol} proxy; only http: and https: are known` };
  }
  return { kind: "proxy", address: parsed.href, shown: `${parsed.protocol}//${parsed.host}` };
}

function covers(exception: string, url: URL): boolean {
  if (exception === "") return false;
  if (exception === "*") return true;
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (exception.includes("/")) return isInNetwork(host, exception);
  const [, name = exception, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(exception) ?? [];
  if (port !== undefined && port !== (url.port || "443")) return false;
  const plain = name.replace(/^\[|\]$/g, "");
  if (isIP(plain) !== 0) return isIP(host) !== 0 && isInNetwork(host, `${plain}/${isIP(plain) === 4 ? 32 : 128}`);
  if (isIP(host) !== 0) return false;
  const domain = plain.replace(/^\*\./, ".");
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function isInNetwork(host: string, network: string): boolean {
  const [address = "", bits = ""] = network.split("/");
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (isIP(host) !== isIP(address) || isIP(address) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === "ipv6" ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(bits), family);
  return list.check(host, family);
}

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer as createPlainTcp, connect, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { JacamarError } from "../error/error.ts";
import { capture } from "../process/capture.ts";
import { keyServer } from "./key-server.ts";
import { type KeyAnswer, keySource, type KeySourceOptions } from "./keys.ts";
import { TestAuthority } from "./testing/certificates.ts";
import {
  type Behaviour,
  type GitLabKeys,
  type GitLabKeysOptions,
  json,
  portOf,
  startGitLabKeys,
} from "./testing/gitlab-keys.ts";
import { privateDirectory } from "./testing/private-directory.ts";
import { makeTokenKey } from "./testing/token-keys.ts";

const first = makeTokenKey();
const second = makeTokenKey();
const root = privateDirectory();
const hour = 3600 * 1000;
const minute = 60 * 1000;

let count = 0;
function place(): string {
  count += 1;
  const path = join(root, `${count}`);
  mkdirSync(path, { mode: 0o700 });
  return path;
}

function write(name: string, text: string): string {
  const path = join(place(), name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** A server and what a driver knows of it, with a clock that a test can move. */
interface Site {
  readonly gitlab: GitLabKeys;
  readonly options: KeySourceOptions;
  /** Milliseconds since 1970 */
  clock: number;
  /** As one process of the driver's does it. */
  readonly find: (kid: string, changes?: Partial<KeySourceOptions>) => Promise<KeyAnswer>;
}

async function site(options: GitLabKeysOptions = {}): Promise<Site> {
  const gitlab = await startGitLabKeys(options);
  after(() => gitlab.stop());
  gitlab.publish(first.jwk);
  const made: Site = {
    gitlab,
    options: {
      server: keyServer(gitlab.address),
      cacheDirectory: join(place(), "jacamar"),
      tlsCaFile: write("ca.pem", gitlab.authority),
      environment: {},
      now: () => made.clock,
      limitMilliseconds: 5000,
    },
    clock: Date.now(),
    find: (kid, changes = {}) => keySource({ ...made.options, ...changes }).find(kid),
  };
  return made;
}

const known = (answer: KeyAnswer) => (answer.kind === "known" ? answer.key.kid : answer.kind);

function unavailable(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof JacamarError);
    assert.equal(error.blame, "site");
    assert.match(error.message, /^Cannot get the public keys of https?:\/\/127\.0\.0\.1:\d+: [^\n]*$/);
    assert.match(error.message, message);
    assert.equal(error.cause, undefined);
    return true;
  };
}

describe("keySource()", () => {
  test("gets a key over TLS, and the next time without a request", async () => {
    const { gitlab, find } = await site();
    assert.deepEqual(known(await find(first.kid)), first.kid);
    assert.deepEqual(await find(first.kid), {
      kind: "known",
      key: { kid: first.kid, alg: "RS256", kty: "RSA", n: first.jwk.n, e: first.jwk.e },
      notes: [],
    });
    assert.deepEqual(gitlab.requests, ["/oauth/discovery/keys"]);
  });

  test("gets a key over http from this machine, whatever the proxy", async () => {
    const { find } = await site({ protocol: "http" });
    const environment = { HTTPS_PROXY: "http://127.0.0.1:1", HTTP_PROXY: "http://127.0.0.1:1" };
    assert.equal(known(await find(first.kid, { environment })), first.kid);
  });

  test("asks for a new key at once when a minute has passed, and gets it", async () => {
    const made = await site();
    await made.find(first.kid);
    made.gitlab.publish(second.jwk);
    const early = await made.find(second.kid);
    assert.equal(early.kind, "unknown");
    assert.match(early.notes[0] ?? "", /does not publish that key \(asked 0 seconds ago/);
    made.clock += minute;
    assert.equal(known(await made.find(second.kid)), second.kid);
    // The old one is gone with the answer that did not have it any more.
    assert.equal((await made.find(first.kid)).kind, "unknown");
    assert.equal(made.gitlab.requests.length, 2);
  });

  test("asks once a minute, however many unknown ids come", async () => {
    const made = await site();
    await made.find(first.kid);
    for (let second = 0; second < 180; second += 1) {
      assert.equal((await made.find(`kid-${second}`)).kind, "unknown");
      made.clock += 1000;
    }
    assert.equal(made.gitlab.requests.length, 3);
  });

  test("does not let hostile ids out of its directory", async () => {
    const made = await site();
    for (const kid of ["../../../etc/passwd", "a\0b", "__proto__", "constructor", "x".repeat(2 ** 20), ""]) {
      assert.equal((await made.find(kid)).kind, "unknown");
    }
    assert.equal(readdirSync(made.options.cacheDirectory).length, 1);
    assert.equal(made.gitlab.requests.length, 1);
  });

  test("asks for keys anew after a day", async () => {
    const made = await site();
    await made.find(first.kid);
    made.clock += 24 * hour - 1;
    await made.find(first.kid);
    assert.equal(made.gitlab.requests.length, 1);
    made.clock += 1;
    assert.deepEqual((await made.find(first.kid)).notes, []);
    assert.equal(made.gitlab.requests.length, 2);
    await made.find(first.kid);
    assert.equal(made.gitlab.requests.length, 2);
  });

  test("uses an old key when the server is away, says so, and tries again once a minute", async () => {
    const made = await site();
    await made.find(first.kid);
    made.gitlab.behave(json(503, ""));
    made.clock += 30 * hour;
    for (const expected of [/30 hours old .*: it answered with HTTP status 503\.$/, /30 hours old .*status 503\.$/]) {
      const answer = await made.find(first.kid);
      assert.equal(known(answer), first.kid);
      assert.equal(answer.notes.length, 1);
      assert.match(answer.notes[0] ?? "", expected);
    }
    assert.equal(made.gitlab.requests.length, 2);
    made.clock += minute;
    await made.find(first.kid);
    assert.equal(made.gitlab.requests.length, 3);
    made.clock += minute;
    made.gitlab.publish(first.jwk);
    assert.deepEqual((await made.find(first.kid)).notes, []);
  });

  test("does not let a server that is gone stop jobs whose key is cached, and blames it for the others", async () => {
    const made = await site();
    await made.find(first.kid);
    await made.gitlab.stop();
    assert.deepEqual((await made.find(first.kid)).notes, []);
    made.clock += minute;
    await assert.rejects(made.find(second.kid), unavailable(/the connection failed \(ECONNREFUSED\)$/));
    // The reason is remembered, so nobody asks again for a minute.
    await assert.rejects(made.find(second.kid), unavailable(/ECONNREFUSED/));
    assert.equal(known(await made.find(first.kid)), first.kid);
  });

  test("asks again at once when it has no key at all", async () => {
    const made = await site();
    made.gitlab.behave(json(502, "<html>"));
    for (let round = 0; round < 2; round += 1) {
      await assert.rejects(made.find(first.kid), unavailable(/HTTP status 502/));
      made.clock += 1000;
    }
    made.gitlab.publish(first.jwk);
    assert.equal(known(await made.find(first.kid)), first.kid);
  });

  test("keeps what it has when the server publishes nothing of use", async () => {
    const made = await site();
    await made.find(first.kid);
    made.gitlab.publish({ ...first.jwk, alg: "HS256" });
    made.clock += 25 * hour;
    const answer = await made.find(first.kid);
    assert.equal(known(answer), first.kid);
    assert.match(answer.notes.join(), /publishes no public key that can verify tokens/);
  });

  test("is not held up by a clock that was wrong", async () => {
    const made = await site();
    made.clock += 365 * 24 * hour;
    await made.find(first.kid);
    made.clock -= 365 * 24 * hour;
    made.gitlab.publish(first.jwk, second.jwk);
    assert.equal(known(await made.find(second.kid)), second.kid);
    assert.equal(made.gitlab.requests.length, 2);
  });

  test("does without a cache that it cannot trust, and says so", async () => {
    const made = await site();
    await made.find(first.kid);
    chmodSync(made.options.cacheDirectory, 0o777);
    for (let round = 0; round < 2; round += 1) {
      const answer = await made.find(first.kid);
      assert.equal(known(answer), first.kid);
      assert.match(answer.notes.join(), /cache of the server's keys is not used: .*open to others.*are not cached/);
    }
    assert.equal(made.gitlab.requests.length, 3);
  });

  test("does not believe a cache that was damaged, and repairs it", async () => {
    const made = await site();
    await made.find(first.kid);
    const [name = ""] = readdirSync(made.options.cacheDirectory);
    writeFileSync(join(made.options.cacheDirectory, name), "{");
    assert.match((await made.find(first.kid)).notes.join(), /is damaged/);
    assert.deepEqual((await made.find(first.kid)).notes, []);
    assert.equal(made.gitlab.requests.length, 2);
  });

  test("lets jobs that start together ask once, and all get the answer", async () => {
    const made = await site();
    made.gitlab.behave((request, response) => {
      setTimeout(() => json(200, { keys: [second.jwk] })(request, response), 300);
    });
    const one = made.find(second.kid);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const others = Array.from({ length: 20 }, () => made.find(second.kid));
    for (const answer of await Promise.all([one, ...others])) assert.equal(known(answer), second.kid);
    assert.equal(made.gitlab.requests.length, 1);
  });

  test("lets them share a failure, too", async () => {
    const made = await site();
    made.gitlab.behave((request, response) => {
      setTimeout(() => json(500, "")(request, response), 300);
    });
    const one = made.find(first.kid, { now: Date.now });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const others = Array.from({ length: 5 }, () => made.find(first.kid, { now: Date.now }));
    // All at once: an answer that comes while another is awaited would be a rejection that nobody handles.
    await Promise.all([one, ...others].map((answer) => assert.rejects(answer, unavailable(/HTTP status 500/))));
    assert.equal(made.gitlab.requests.length, 1);
  });

  test("does not wait for ever for a process that was killed while it asked", async () => {
    const made = await site();
    await made.find(first.kid);
    const [name = ""] = readdirSync(made.options.cacheDirectory);
    const path = join(made.options.cacheDirectory, name);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"outcome":"done"', '"outcome":"running"'));
    await assert.rejects(made.find(second.kid, { limitMilliseconds: 100 }), unavailable(/broken off/));
    made.clock += 10_000;
    await assert.rejects(made.find(second.kid), unavailable(/broken off/));
    made.clock += minute;
    assert.equal((await made.find(second.kid)).kind, "unknown");
  });

  const bad: readonly (readonly [what: string, behaviour: Behaviour, message: RegExp])[] = [
    ["HTML", json(200, "<!DOCTYPE html><title>Sign in</title>"), /not JSON \(37 bytes\)$/],
    ["JSON that was cut off", json(200, JSON.stringify({ keys: [first.jwk] }).slice(0, -4)), /not JSON/],
    ["nothing", json(200, ""), /not JSON \(0 bytes\)/],
    ["bytes that are not UTF-8", (_request, response) => response.end(Buffer.from([0x22, 0xff, 0x22])), /not JSON/],
    ["a list", json(200, [first.jwk]), /no list of keys/],
    ["keys that are no list", json(200, { keys: first.jwk }), /no list of keys/],
    ["no keys", json(200, { keys: [] }), /no public key/],
    ["keys of other kinds", json(200, { keys: [1, null, { ...first.jwk, n: 5 }] }), /no public key/],
    ["500", json(500, { keys: [first.jwk] }), /HTTP status 500/],
    ["404", json(404, { keys: [first.jwk] }), /HTTP status 404/],
    ["203", json(203, { keys: [first.jwk] }), /HTTP status 203/],
    ["an encoding", json(200, { keys: [first.jwk] }, { "content-encoding": "gzip" }), /encoding/],
    ["10 MB", (_request, response) => response.end(Buffer.alloc(10 * 2 ** 20, " ")), /longer than 262144 bytes/],
    [
      "10 MB that it says are few",
      (request) => request.socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n${" ".repeat(10 * 2 ** 20)}`),
      /not JSON|the connection failed/,
    ],
    ["1 MB of headers", json(200, { keys: [] }, { x: "x".repeat(2 ** 20) }), /the connection failed/],
    [
      "an answer that breaks off",
      (request, response) => {
        response.writeHead(200, { "content-length": "5000" });
        response.write('{"keys":[');
        setTimeout(() => request.socket.destroy(), 20);
      },
      /the connection failed/,
    ],
    ["no HTTP", (request) => request.socket.end("SSH-2.0-OpenSSH_9.9\r\n"), /the connection failed \(HPE_/],
    [
      "a redirect to another host",
      json(302, "", { location: "https://evil.example.com/keys?token=x" }),
      /elsewhere \(https:\/\/evil\.example\.com\)/,
    ],
    ["a redirect without TLS", json(301, "", { location: "http://127.0.0.1/keys" }), /elsewhere/],
    ["a redirect to another port", json(307, "", { location: "https://127.0.0.1:1/keys" }), /elsewhere/],
    ["a redirect to a file", json(308, "", { location: "file:///etc/passwd" }), /elsewhere/],
    ["a redirect to nowhere", json(302, "", { location: "https://[" }), /elsewhere \(not a URL\)/],
    ["a redirect without a place", json(302, ""), /HTTP status 302/],
    ["a redirect to itself", json(302, "", { location: "/oauth/discovery/keys" }), /redirects more than twice/],
  ];
  for (const [what, behaviour, message] of bad) {
    test(`does not take ${what} for keys`, { timeout: 60_000 }, async () => {
      const made = await site();
      made.gitlab.behave(behaviour);
      await assert.rejects(made.find(first.kid), unavailable(message));
      made.gitlab.publish(first.jwk);
      made.clock += 1;
      assert.equal(known(await made.find(first.kid)), first.kid);
    });
  }

  test("follows two redirects within the server", async () => {
    const { gitlab, find } = await site();
    gitlab.behave((request, response) => {
      const next: Readonly<Record<string, string>> = { "/oauth/discovery/keys": "/a", "/a": `${gitlab.address}/b` };
      const location = next[request.url ?? ""];
      json(
        location === undefined ? 200 : 302,
        { keys: [first.jwk] },
        location === undefined ? {} : { location },
      )(request, response);
    });
    assert.equal(known(await find(first.kid)), first.kid);
    assert.deepEqual(gitlab.requests, ["/oauth/discovery/keys", "/a", "/b"]);
  });

  test("follows no redirect of a server without TLS", async () => {
    const { gitlab, find } = await site({ protocol: "http" });
    gitlab.behave(json(302, "", { location: "/a" }));
    await assert.rejects(find(first.kid), unavailable(/elsewhere/));
  });

  const slow: readonly (readonly [what: string, behaviour: Behaviour])[] = [
    ["says nothing", () => {}],
    ["stops in the middle", (_request, response) => response.write('{"keys":[')],
    [
      "says a byte from time to time",
      (_request, response) => {
        const timer = setInterval(() => response.write(" "), 20);
        response.once("close", () => clearInterval(timer));
      },
    ],
    [
      "sends one header after the other",
      (request) => {
        request.socket.write("HTTP/1.1 200 OK\r\n");
        const timer = setInterval(() => request.socket.write("x: y\r\n"), 20);
        request.socket.once("close", () => clearInterval(timer));
      },
    ],
    [
      "redirects slowly",
      (request, response) => {
        setTimeout(() => json(302, "", { location: "/oauth/discovery/keys" })(request, response), 150);
      },
    ],
  ];
  for (const [what, behaviour] of slow) {
    test(`waits for a server that ${what} as long as is allowed in all, and no longer`, async () => {
      const { gitlab, find } = await site();
      gitlab.behave(behaviour);
      const began = performance.now();
      await assert.rejects(
        find(first.kid, { limitMilliseconds: 300 }),
        unavailable(/did not answer within 0\.3 seconds/),
      );
      const took = performance.now() - began;
      assert.ok(took > 250 && took < 60_000, `${took} ms`);
    });
  }

  test("leaves no connection behind when it does not want the rest", async () => {
    const made = await site();
    for (const status of [200, 302, 500]) {
      const closed = new Promise<void>((resolve) => {
        made.gitlab.behave((request, response) => {
          request.socket.once("close", () => resolve());
          response.writeHead(status, { location: "https://evil.example.com/" });
          response.write(Buffer.alloc(300_000, " "));
        });
      });
      await assert.rejects(made.find(first.kid));
      made.clock += 1;
      await closed;
    }
  });

  test("waits no longer for a line that is dead before TLS", async () => {
    const silent = createPlainTcp(() => {});
    const address = `https://127.0.0.1:${await portOf(silent)}`;
    after(() => silent.close());
    const { find } = await site();
    const server = keyServer(address);
    await assert.rejects(find(first.kid, { server, limitMilliseconds: 300 }), unavailable(/did not answer within/));
  });
});

describe("keySource() and TLS", () => {
  test("trusts tls-ca-file alone", async () => {
    const { find } = await site();
    const other = write("other.pem", new TestAuthority().certificate);
    await assert.rejects(
      find(first.kid, { tlsCaFile: other }),
      unavailable(/certificate is not trusted \([A-Z_]+\); see tls-ca-file/),
    );
    await assert.rejects(find(first.kid, { tlsCaFile: undefined }), unavailable(/certificate is not trusted/));
  });

  test("trusts each of several certificates in the file", async () => {
    const { gitlab, find } = await site();
    const both = write(
      "both.pem",
      `# first\n${new TestAuthority("Another authority").certificate}\n${gitlab.authority}`,
    );
    assert.equal(known(await find(first.kid, { tlsCaFile: both })), first.kid);
  });

  test("refuses a certificate of another host, and one that has expired", async () => {
    await assert.rejects(
      (await site({ host: "gitlab.example.com" })).find(first.kid),
      unavailable(/ERR_TLS_CERT_ALTNAME_INVALID/),
    );
    await assert.rejects((await site({ days: -1 })).find(first.kid), unavailable(/CERT_HAS_EXPIRED/));
  });

  test("refuses a tls-ca-file that is missing, empty, no file, or open to others", async () => {
    const made = await site();
    const open = write("open.pem", made.gitlab.authority);
    chmodSync(open, 0o666);
    for (const [tlsCaFile, message] of [
      ["/nonexistent/ca.pem", /cannot be used: ENOENT/],
      [write("empty.pem", ""), /holds no certificate/],
      [place(), /is not a regular file/],
      [open, /is open to others/],
    ] as const) {
      await assert.rejects(made.find(first.kid, { tlsCaFile }), unavailable(message));
      made.clock += 1;
    }
  });

  test("lets no variable turn it off", async () => {
    const { gitlab, options } = await site();
    const script = `
      const { keySource } = await import(${JSON.stringify(join(import.meta.dirname, "keys.ts"))});
      const server = ${JSON.stringify(options.server)};
      const source = keySource({ server, cacheDirectory: "/proc/none", tlsCaFile: undefined, environment: {} });
      console.log(await source.find("x").then(() => "found", (error) => error.message));`;
    const run = (environment: Record<string, string>) =>
      capture(
        { argv: [process.execPath, "--input-type=module", "--eval", script], environment, workingDirectory: "/" },
        { timeoutSeconds: 20 },
      );
    for (const environment of [
      { NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      { NODE_EXTRA_CA_CERTS: write("extra.pem", gitlab.authority) },
      { NODE_USE_ENV_PROXY: "1", HTTPS_PROXY: "http://127.0.0.1:1" },
    ]) {
      const ended = await run(environment);
      assert.match(ended.stdout, /certificate is not trusted/, JSON.stringify([environment, ended]));
    }
  });
});

/** A proxy that notes what it is asked for. */
async function startProxy(
  behaviour?: (socket: Socket) => void,
): Promise<{ address: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const server = createPlainServer();
  server.on("connect", (request, socket: Socket) => {
    asked.push(`${request.url} ${request.headers["proxy-authorization"] ?? "-"}`);
    socket.on("error", () => {});
    if (behaviour !== undefined) return behaviour(socket);
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const onward = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
  });
  const port = await portOf(server);
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address: `127.0.0.1:${port}`, asked, server };
}

describe("keySource() and proxies", () => {
  // This machine is never asked for through a proxy, so the server goes by another name here; only the proxy knows it.
  async function behindProxy(): Promise<Site & { readonly port: string }> {
    const made = await site({ host: "gitlab.test" });
    const port = new URL(made.gitlab.address).port;
    return Object.assign(made, {
      port,
      options: { ...made.options, server: keyServer(`https://gitlab.test:${port}`) },
    });
  }

  test("goes through the proxy of the environment, with its password", async () => {
    const made = await behindProxy();
    const server = createPlainServer();
    const asked: string[] = [];
    server.on("connect", (request, socket: Socket) => {
      asked.push(`${request.url} ${request.headers["proxy-authorization"]}`);
      const onward = connect(Number(made.port), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(onward).pipe(socket);
      });
      for (const end of [socket, onward]) end.on("error", () => {});
    });
    const port = await portOf(server);
    after(() => server.close());
    const environment = { HTTPS_PROXY: `http://me:secret@127.0.0.1:${port}`, NO_PROXY: "other.test" };
    let servername: unknown;
    made.gitlab.behave((request, response) => {
      servername = "servername" in request.socket && request.socket.servername;
      json(200, { keys: [first.jwk] })(request, response);
    });
    assert.equal(known(await made.find(first.kid, { environment })), first.kid);
    assert.equal(servername, "gitlab.test");
    assert.deepEqual(asked, [`gitlab.test:${made.port} Basic ${btoa("me:secret")}`]);
    assert.equal(made.gitlab.requests.length, 1);
  });

  const broken: readonly (readonly [what: string, behaviour: (socket: Socket) => void, message: RegExp])[] = [
    [
      "refuses",
      (socket) => socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
      /the proxy answered with HTTP status 407/,
    ],
    ["hangs", () => {}, /did not answer within 0\.5 seconds/],
    [
      "hangs after its answer",
      (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\n"),
      /did not answer within 0\.5 seconds/,
    ],
    ["breaks off", (socket) => socket.destroy(), /connection failed/],
    [
      "plays the server",
      (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}"),
      /the proxy said more than it may|the connection failed/,
    ],
  ];
  for (const [what, behaviour, message] of broken) {
    test(`blames a proxy that ${what}, without its password`, async () => {
      const proxy = await startProxy(behaviour);
      const made = await behindProxy();
      const environment = { https_proxy: `http://me:secret@${proxy.address}` };
      await assert.rejects(made.find(first.kid, { environment, limitMilliseconds: 500 }), (error) => {
        assert.ok(error instanceof JacamarError);
        assert.match(error.message, message);
        assert.match(error.message, new RegExp(`\\(asked through the proxy http://${proxy.address}\\)$`));
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
      assert.equal(proxy.asked.length, 1);
    });
  }

  test("keeps no process alive for a proxy that hangs", async () => {
    const proxy = await startProxy(() => {});
    const made = await behindProxy();
    const script = `
      const { keySource } = await import(${JSON.stringify(join(import.meta.dirname, "keys.ts"))});
      const server = ${JSON.stringify(made.options.server)};
      const environment = { HTTPS_PROXY: ${JSON.stringify(proxy.address)} };
      const source = keySource({ server, cacheDirectory: "/proc/none", tlsCaFile: undefined, environment, limitMilliseconds: 300 });
      console.log(await source.find("x").then(() => "found", (error) => error.message));`;
    const ended = await capture(
      { argv: [process.execPath, "--input-type=module", "--eval", script], environment: {}, workingDirectory: "/" },
      { timeoutSeconds: 60 },
    );
    assert.match(ended.stdout, /did not answer/);
    assert.deepEqual(ended.ending, { exitCode: 0 });
  });

  test("refuses a proxy that it does not know how to use", async () => {
    const made = await behindProxy();
    const environment = { HTTPS_PROXY: "socks5://me:secret@127.0.0.1:1" };
    await assert.rejects(made.find(first.kid, { environment }), /HTTPS_PROXY names a socks5: proxy/);
  });
});

test("a key that is cached loads neither HTTPS nor TLS", async () => {
  const made = await site();
  await made.find(first.kid, { now: Date.now });
  const token = first.sign({});
  const script = `
    const { keySource } = await import(${JSON.stringify(join(import.meta.dirname, "keys.ts"))});
    const { verifyToken } = await import(${JSON.stringify(join(import.meta.dirname, "token.ts"))});
    const server = ${JSON.stringify(made.options.server)};
    const keys = keySource({ server, cacheDirectory: ${JSON.stringify(made.options.cacheDirectory)}, environment: {} });
    const verdict = await verifyToken({ token: ${JSON.stringify(token)}, server, keys, slackSeconds: 0, now: new Date() });
    console.log(verdict.code, process.moduleLoadList.filter((name) => /NativeModule (_?http|_?tls|https|net|undici)/.test(name)).join());`;
  const ended = await capture(
    { argv: [process.execPath, "--input-type=module", "--eval", script], environment: {}, workingDirectory: "/" },
    { timeoutSeconds: 20 },
  );
  assert.deepEqual([ended.stdout, ended.stderr], ["claim_missing \n", ""]);
});

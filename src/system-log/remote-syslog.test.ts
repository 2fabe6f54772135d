import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { hostname } from "node:os";
import { describe, test } from "node:test";
import { longestLine } from "./entry.ts";
import { sendToRemoteSyslog } from "./remote-syslog.ts";
import { syslogMessage } from "./syslog.ts";

const time = new Date("2026-11-24T03:49:35.962Z");

async function listen(server: Server, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  return portOf(server.address());
}

function portOf(address: string | AddressInfo | null): number {
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

describe("syslogMessage()", () => {
  test("is a message of RFC 5424", () => {
    for (const [level, priority] of [
      ["debug", 87],
      ["info", 86],
      ["warn", 84],
      ["error", 83],
    ] as const) {
      assert.equal(
        syslogMessage('{"a":1}', level, time),
        `<${priority}>1 2026-11-24T03:49:35.962Z ${hostname()} jacamar ${process.pid} - - {"a":1}`,
      );
    }
  });
});

describe("sendToRemoteSyslog()", () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    test(`gives a TCP server at ${host} each message with its length before it`, async () => {
      let received = "";
      const server = createServer((socket) => socket.on("data", (chunk) => (received += chunk.toString())));
      const port = await listen(server, host);
      const messages = ["a", "x".repeat(longestLine), "\u00e9"];
      for (const message of messages) await sendToRemoteSyslog({ network: "tcp", host, port }, message);
      server.close();
      assert.equal(received, `1 a${longestLine} ${messages[1]}2 \u00e9`);
    });
  }

  test("gives a UDP server one datagram for each message", async () => {
    const server = createSocket("udp4");
    const received: string[] = [];
    server.on("message", (message) => received.push(message.toString()));
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const messages = ["a", "x".repeat(longestLine + 300)];
    for (const message of messages) {
      const { port } = server.address();
      await sendToRemoteSyslog({ network: "udp", host: "127.0.0.1", port }, message);
    }
    for (let i = 0; i < 100 && received.length < 2; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    server.close();
    assert.deepEqual(received, messages);
  });

  test("fails when TCP is refused", async () => {
    const server = createServer();
    const port = await listen(server, "127.0.0.1");
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(sendToRemoteSyslog({ network: "tcp", host: "127.0.0.1", port }, "x"), {
      message: `127.0.0.1, port ${port}: nobody listens there`,
    });
  });

  test("fails when a TCP server takes the connection and nothing else", async () => {
    const sockets: Socket[] = [];
    const server = createServer({ pauseOnConnect: true }, (socket) => sockets.push(socket));
    const port = await listen(server, "127.0.0.1");
    const started = performance.now();
    await assert.rejects(sendToRemoteSyslog({ network: "tcp", host: "127.0.0.1", port }, "x", 0.4), {
      message: `127.0.0.1, port ${port} did not take the entry within 0.4 s`,
    });
    assert.ok(performance.now() - started < 60_000);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test("fails when a TCP server resets the connection", async () => {
    const server = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    const port = await listen(server, "127.0.0.1");
    await assert.rejects(sendToRemoteSyslog({ network: "tcp", host: "127.0.0.1", port }, "x"), {
      message: /: ECONNRESET$/,
    });
    server.close();
  });

  for (const network of ["tcp", "udp"] as const) {
    test(`fails over ${network} for a name that nobody knows`, async () => {
      const server = { network, host: "jacamar-test.invalid", port: 514 };
      await assert.rejects(sendToRemoteSyslog(server, "x"), { message: /^jacamar-test\.invalid, port 514[: ]/ });
    });
  }
});

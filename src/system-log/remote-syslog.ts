import { failureReason, LogFailure } from "./log-failure.ts";
import { deliver } from "./stream.ts";

/** A syslog server on the network. */
export interface RemoteSyslog {
  readonly network: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
}

/**
 * Sends one message of RFC 5424: over TCP with its length before it (RFC 6587, 3.4.1), over UDP as one datagram (RFC 5426).
 * Over UDP nobody knows whether it arrived.
 *
 * Throws {@link LogFailure}: the name is unknown, TCP was refused, or it took more than `timeoutSeconds`.
 */
export async function sendToRemoteSyslog(server: RemoteSyslog, message: string, timeoutSeconds = 5): Promise<void> {
  if (server.network === "tcp") {
    const { host, port } = server;
    await deliver({ host, port }, `${Buffer.byteLength(message)} ${message}`, timeoutSeconds);
  } else {
    await sendDatagram(server, message, timeoutSeconds);
  }
}

async function sendDatagram({ host, port }: RemoteSyslog, message: string, timeoutSeconds: number): Promise<void> {
  const [{ createSocket }, { lookup }] = await Promise.all([import("node:dgram"), import("node:dns")]);
  const name = `${host}, port ${port}`;
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: unknown) => reject(new LogFailure(`${name}: ${failureReason(cause)}`, { cause }));
    const timer = setTimeout(() => {
      reject(new LogFailure(`${name}: not sent within ${timeoutSeconds} s`));
    }, timeoutSeconds * 1000);
    lookup(host, (unknown, address, family) => {
      if (unknown !== null) {
        clearTimeout(timer);
        fail(unknown);
        return;
      }
      const socket = createSocket(family === 6 ? "udp6" : "udp4");
      socket.once("error", fail);
      socket.send(message, port, address, (error) => {
        clearTimeout(timer);
        socket.close();
        if (error === null) resolve();
        else fail(error);
      });
    });
  });
}

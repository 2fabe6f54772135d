import { failureReason, LogFailure } from "./log-failure.ts";

/** Where a stream goes: to a host, or to a socket in the file system. */
export type StreamTarget = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Connects, sends a text, says that this is all, and waits until the other side has closed, too: by then it has read
 * everything. A connection alone proves little, since the kernel makes it and buffers the text for a daemon that hangs.
 *
 * Throws {@link LogFailure}, also when that takes more than `timeoutSeconds`.
 */
export async function deliver(target: StreamTarget, text: string, timeoutSeconds: number): Promise<void> {
  const { connect } = await import("node:net");
  const name = "path" in target ? target.path : `${target.host}, port ${target.port}`;
  await new Promise<void>((resolve, reject) => {
    const socket = connect(target);
    const timer = setTimeout(() => {
      reject(new LogFailure(`${name} did not take the entry within ${timeoutSeconds} s`));
      socket.destroy();
    }, timeoutSeconds * 1000);
    socket.once("error", (cause) => reject(new LogFailure(`${name}: ${failureReason(cause)}`, { cause })));
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    socket.end(text);
  });
}

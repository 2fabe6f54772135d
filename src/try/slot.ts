import { createServer } from "node:net";

/** A number that no other job of one account on this machine has at the same time. */
export interface Slot {
  readonly id: number;
  release(): void;
}

const slotLimit = 1000;
/** The name of a socket has little room. */
const nameLimit = 64;

/**
 * Takes the lowest free slot, as the runner gives out CI_CONCURRENT_ID; two runs of `try` at once get different
 * directories by it. A slot is an abstract socket: the kernel frees it whatever happens to the process.
 */
export async function takeSlot(account: string): Promise<Slot> {
  for (let id = 0; id < slotLimit; id += 1) {
    const server = await listen(`\0jacamar-try-${account.slice(0, nameLimit)}-${id}`);
    if (server !== undefined) return { id, release: () => void server.close() };
  }
  throw new Error(`all ${slotLimit} slots are taken`);
}

function listen(path: string) {
  return new Promise<ReturnType<typeof createServer> | undefined>((resolve) => {
    const server = createServer((connection) => connection.destroy());
    server.once("error", () => resolve(undefined));
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

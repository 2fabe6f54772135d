import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How a page is looked at. */
export interface View {
  readonly width: number;
  readonly height: number;
  readonly colours: "light" | "dark";
}

/** A page that has been loaded. */
export interface Page {
  /** All that the console and the browser complained of: errors, refused loads, breaches of the page's policy. */
  readonly complaints: readonly string[];
  /** Everything that the page asked for, by address. */
  readonly requests: readonly string[];
  /** Runs a piece of script in the page and returns its value, which must be JSON. */
  evaluate(script: string): Promise<unknown>;
  /** Writes the page as a picture: the whole, or a part from a height on; from -1 means the end of the page. */
  screenshot(path: string, part?: { readonly from: number; readonly height: number }): Promise<void>;
  close(): Promise<void>;
}

/** A headless Chromium that is driven over the DevTools protocol. */
export interface Browser {
  /** Opens a file. Resolves when the page has loaded. */
  open(path: string, view: View): Promise<Page>;
  close(): Promise<void>;
}

type Message = Readonly<Record<string, unknown>>;

/** Starts it, with a profile of its own. */
export async function startBrowser(): Promise<Browser> {
  const profile = mkdtempSync("/var/tmp/jacamar-chromium-");
  const browser = spawn(
    "chromium",
    [
      "--headless=new",
      // In a container, and as root, Chromium's own sandbox cannot be set up. The pages are the tests' own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--hide-scrollbars",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe"], env: { PATH: "/usr/bin:/bin", HOME: profile, LANG: "C.UTF-8" } },
  );
  const socket = new WebSocket(await addressOf(browser));
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve(), { once: true });
    socket.addEventListener("error", () => reject(new Error("Chromium does not talk")), { once: true });
  });
  const connection = new Connection(socket);
  return {
    open: (path, view) => open(connection, path, view),
    close: async () => {
      const gone = new Promise((resolve) => browser.once("exit", resolve));
      // It may be gone before it has answered.
      await connection.send("Browser.close").catch(() => undefined);
      await gone;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

function addressOf(browser: ChildProcess): Promise<string> {
  let said = "";
  return new Promise((resolve, reject) => {
    browser.once("error", reject);
    browser.once("exit", () => reject(new Error(`Chromium ended: ${said}`)));
    browser.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const address = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}

class Connection {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (result: Message) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<(method: string, parameters: Message, session: string) => void>();
  #next = 1;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(String(data)));
    socket.addEventListener("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("Chromium is gone"));
      this.#waiting.clear();
    });
  }

  send(method: string, parameters: Message = {}, session?: string): Promise<Message> {
    const id = this.#next;
    this.#next += 1;
    const sessionId = session === undefined ? {} : { sessionId: session };
    this.#socket.send(JSON.stringify({ id, method, params: parameters, ...sessionId }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  listen(listener: (method: string, parameters: Message, session: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(text: string): void {
    const message = toMessage(JSON.parse(text));
    const { id, method } = message;
    if (typeof id === "number") {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (message["error"] === undefined) waiting?.resolve(toMessage(message["result"]));
      else waiting?.reject(new Error(JSON.stringify(message["error"])));
    } else if (typeof method === "string") {
      for (const listener of this.#listeners)
        listener(method, toMessage(message["params"]), String(message["sessionId"]));
    }
  }
}

function toMessage(value: unknown): Message {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

async function open(connection: Connection, path: string, { width, height, colours }: View): Promise<Page> {
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  const attached = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const session = String(attached["sessionId"]);
  const send = (method: string, parameters: Message = {}) => connection.send(method, parameters, session);
  const complaints: string[] = [];
  const requests: string[] = [];
  const loaded = Promise.withResolvers<void>();
  const stop = connection.listen((method, parameters, from) => {
    if (from !== session) return;
    if (method === "Page.loadEventFired") loaded.resolve();
    if (method === "Network.requestWillBeSent") requests.push(String(toMessage(parameters["request"])["url"]));
    if (method === "Runtime.exceptionThrown") complaints.push(JSON.stringify(parameters));
    const isError = parameters["type"] === "error" || parameters["type"] === "warning";
    if (method === "Runtime.consoleAPICalled" && isError) complaints.push(JSON.stringify(parameters));
    const level = toMessage(parameters["entry"])["level"];
    if (method === "Log.entryAdded" && (level === "error" || level === "warning"))
      complaints.push(JSON.stringify(parameters));
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`);
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: colours }] });
  await send("Page.navigate", { url: `file://${path}` });
  await loaded.promise;
  const evaluate = async (expression: string): Promise<unknown> => {
    const answer = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (answer["exceptionDetails"] !== undefined) throw new Error(JSON.stringify(answer["exceptionDetails"]));
    return toMessage(answer["result"])["value"];
  };
  // What is drawn for the next frame is there after two.
  await evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))))");
  return {
    complaints,
    requests,
    evaluate,
    screenshot: async (file, part) => {
      const whole = Number(toMessage((await send("Page.getLayoutMetrics"))["cssContentSize"])["height"]);
      const length = Math.min(part?.height ?? whole, whole);
      const from = part === undefined ? 0 : part.from === -1 ? whole - length : part.from;
      const clip = { x: 0, y: from, width, height: length, scale: 1 };
      const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true, clip });
      writeFileSync(file, Buffer.from(String(data), "base64"));
    },
    close: async () => {
      stop();
      await connection.send("Target.closeTarget", { targetId });
    },
  };
}

/** Where a test may leave pictures for a person to look at: the directory that JACAMAR_PICTURES names, if it does. */
export function picturePath(name: string): string | undefined {
  const directory = process.env["JACAMAR_PICTURES"];
  return directory === undefined ? undefined : join(directory, name);
}

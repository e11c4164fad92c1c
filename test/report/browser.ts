// A headless Chromium out of the npm package @sparticuz/chromium, driven over a pipe with the DevTools protocol: enough to open a
// page at some width and colour scheme, run scripts in it, take pictures, and hear of errors and requests.
// Protocol: https://chromedevtools.github.io/devtools-protocol/

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const FLAGS = ["--headless=shell", "--no-sandbox", "--no-zygote", "--disable-gpu", "--remote-debugging-pipe"] as const;
const START_TIMEOUT_MS = 30_000;
const CALL_TIMEOUT_MS = 30_000;

export interface View {
  readonly width: number;
  readonly height: number;
  readonly dark: boolean;
  /** Pixels of a picture per CSS pixel; default 1. */
  readonly scale?: number;
}

export interface OpenPage {
  /** Messages of errors and warnings, from scripts and from the browser. */
  readonly problems: readonly string[];
  /** Addresses of everything that was asked for, but the page itself. */
  readonly requests: readonly string[];
  /** The value of an expression, which must be plain data. */
  evaluate<T>(expression: string): Promise<T>;
  /** The whole page as PNG. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

/** Starts the browser; the reason where it cannot be had on this machine. */
export async function startBrowser(): Promise<Browser | string> {
  try {
    return await Browser.start();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

type Listener = (method: string, params: Readonly<Record<string, unknown>>) => void;

export class Browser {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #listeners = new Map<string, Listener>();
  #nextId = 1;
  #unread = "";
  #complaints = "";

  private constructor(process: ChildProcess, profile: string) {
    this.#process = process;
    this.#profile = profile;
    const [, , complaints, commands, replies] = process.stdio;
    // A browser that lacks a library of the system says so and ends; writing to it fails then, too.
    (complaints as Readable).setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-1000);
    });
    (commands as Writable).on("error", () => {});
    (replies as Readable).setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    process.once("close", () => this.#answerAll(`the browser ended: ${this.#complaints.trim()}`));
    process.once("error", (error) => this.#answerAll(error.message));
  }

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "axograd-browser-"));
    const child = spawn(await executable(), [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    });
    const browser = new Browser(child, profile);
    try {
      await browser.#send("Browser.getVersion", {}, undefined, START_TIMEOUT_MS);
    } catch (error) {
      await browser.close();
      throw error;
    }
    return browser;
  }

  async open(file: string, { width, height, dark, scale = 1 }: View): Promise<OpenPage> {
    const { targetId } = await this.#send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.#send("Target.attachToTarget", { targetId, flatten: true });
    const session = String(sessionId);
    const call = (method: string, params: object = {}) => this.#send(method, params, session);
    const url = pathToFileURL(file).href;
    const problems: string[] = [];
    const requests: string[] = [];
    const loaded = new Promise<void>((resolve) => {
      this.#listeners.set(session, (method, params) => {
        if (method === "Page.loadEventFired") resolve();
        if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded") problems.push(JSON.stringify(params));
        if (method === "Runtime.consoleAPICalled") problems.push(JSON.stringify(params.args));
        if (method === "Network.requestWillBeSent") requests.push((params.request as { url: string }).url);
      });
    });
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await call(`${domain}.enable`);
    await call("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: scale,
      mobile: width < 600,
    });
    await call("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
    });
    await call("Page.navigate", { url });
    await loaded;
    return {
      problems,
      // Pictures inside the page are not asked of anyone.
      get requests() {
        return requests.filter((address) => address !== url && !address.startsWith("data:"));
      },
      evaluate: async <T>(expression: string): Promise<T> => {
        const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true });
        if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
        return (result as { value: T }).value;
      },
      screenshot: async () => {
        const { data } = await call("Page.captureScreenshot", { captureBeyondViewport: true });
        return Buffer.from(String(data), "base64");
      },
      close: async () => {
        await this.#send("Target.closeTarget", { targetId });
        this.#listeners.delete(session);
      },
    };
  }

  async close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
    if (this.#process.exitCode === null && this.#process.pid !== undefined && this.#process.kill("SIGKILL"))
      await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #send(
    method: string,
    params: object,
    sessionId?: string,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer of the browser`)), timeoutMs);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result ?? {});
      });
      const commands = this.#process.stdio[3] as Writable;
      commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #receive(text: string): void {
    const messages = (this.#unread + text).split("\0");
    this.#unread = messages.pop()!;
    for (const json of messages) {
      const message = JSON.parse(json) as Message;
      if (message.id !== undefined) {
        this.#waiting.get(message.id)?.(message);
        this.#waiting.delete(message.id);
      } else if (message.method) {
        this.#listeners.get(message.sessionId ?? "")?.(message.method, message.params ?? {});
      }
    }
  }

  #answerAll(message: string): void {
    for (const answer of this.#waiting.values()) answer({ error: { message } });
    this.#waiting.clear();
  }
}

/** Unpacks the browser into the system's temporary folder, as the package does it. */
async function executable(): Promise<string> {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Error("the browser runs on linux-x64 only");
  const folders = createRequire(import.meta.url).resolve.paths("@sparticuz/chromium") ?? [];
  if (folders.length === 0) throw new Error("the dev dependency @sparticuz/chromium is not installed");
  const { default: chromium } = await import("@sparticuz/chromium");
  return chromium.executablePath();
}

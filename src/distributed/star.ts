// Connections of all ranks to rank 0, by which each learns within a second that another has ended, whatever ended it: the system closes the
// sockets of a process with it, and a node that fails no longer answers TCP's keepalive. A rank that leaves in order says so.

import { createServer, type Server, type Socket, connect as socketTo } from "node:net";
import { EngineError } from "../core/errors.ts";

/** The end of a rank. */
export interface News {
  readonly rank: number;
  /** How the connection ended, in words; null: it has said itself why it ends. */
  readonly reason: string | null;
  /** Whether this rank prints the reason: one does. */
  readonly isPrinter: boolean;
}

export interface Star {
  /** Says to all ranks that this one ends now; resolves once they know, or did not answer for a second. */
  end(): Promise<void>;
  /** Leaves in order, as all ranks do. */
  leave(): Promise<void>;
}

type Message =
  | { readonly kind: "hello"; readonly token: string; readonly rank: number }
  | { readonly kind: "welcome" | "join" | "bye" }
  | { readonly kind: "calls"; readonly calls: number }
  | { readonly kind: "ended"; readonly rank: number };

/** Milliseconds after which a connection is probed, once a second; after ten probes without an answer it is lost (as libuv sets it). */
const KEEPALIVE_MS = 1000;
/** Milliseconds for an address: a firewall may drop what is sent there. */
const CONNECT_MS = 3000;
/** Milliseconds for the next word of one who is connected; its machine may be busy. */
const ANSWER_MS = 10_000;
/** Connections that wait to be accepted: all ranks come at once. */
const BACKLOG = 4096;
/** Milliseconds to wait for others at the end. */
const END_MS = 1000;
const LONGEST_LINE = 1 << 16;

const SILENT = "it was killed, ran out of memory, or crashed";
const LOST = "its host no longer answers";

/** A connection that carries messages, one a line. */
class Line {
  readonly #socket: Socket;
  #text = "";
  /** How the connection ended, in words. */
  readonly closed: Promise<string>;
  /** Messages that nobody has taken yet. */
  readonly #waiting: Message[] = [];
  #taker: ((message: Message) => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_MS).setEncoding("utf8");
    let problem = SILENT;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ETIMEDOUT" || error.code === "EHOSTUNREACH") problem = LOST;
    });
    this.closed = new Promise((resolve) => socket.on("close", () => resolve(problem)));
    socket.on("data", (text: string) => this.#take(text));
  }

  #take(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop()!;
    if (this.#text.length > LONGEST_LINE) this.destroy();
    for (const line of lines) {
      const message = parse(line);
      if (!message) this.destroy();
      else if (this.#taker) this.#taker(message);
      else this.#waiting.push(message);
    }
  }

  /** Gives all messages to come to `taker`. */
  listen(taker: (message: Message) => void): void {
    this.#taker = taker;
    for (const message of this.#waiting.splice(0)) taker(message);
  }

  send(message: Message): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** Sends what is waiting, and closes. */
  finish(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The next message; null: none came in time. */
  async next(ms: number): Promise<Message | null> {
    const message = new Promise<Message>((resolve) => {
      const first = this.#waiting.shift();
      if (first) resolve(first);
      this.#taker = first
        ? null
        : (arrived) => {
            this.#taker = null;
            resolve(arrived);
          };
    });
    return within(ms, Promise.race([message, this.closed.then(() => null)]));
  }
}

function parse(line: string): Message | null {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

/** The centre of the star: rank 0. */
export class Hub implements Star {
  readonly port: number;
  /** Collective calls that other ranks have begun, as they said last. */
  readonly calls: Map<number, number> = new Map();
  readonly #server: Server;
  readonly #token: string;
  readonly #onNews: (news: News) => void;
  readonly #leaves = new Map<number, Line>();
  readonly #left = new Set<number>();
  #isOver = false;

  /** @param address  where to listen; null: everywhere */
  static async open(address: string | null, token: string, onNews: (news: News) => void): Promise<Hub> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server
        .once("error", reject)
        .listen({ port: 0, backlog: BACKLOG, ...(address === null ? {} : { host: address }) }, resolve);
    });
    return new Hub(server, token, onNews);
  }

  constructor(server: Server, token: string, onNews: (news: News) => void) {
    const address = server.address();
    this.port = typeof address === "object" && address ? address.port : 0;
    this.#server = server;
    this.#token = token;
    this.#onNews = onNews;
    server.on("connection", (socket) => void this.#greet(new Line(socket)));
  }

  async #greet(line: Line): Promise<void> {
    const hello = await line.next(ANSWER_MS);
    if (hello?.kind !== "hello" || hello.token !== this.#token) {
      line.destroy();
      return;
    }
    const { rank } = hello;
    line.send({ kind: "welcome" });
    // A rank that has not joined may have found another way.
    if ((await line.next(ANSWER_MS))?.kind !== "join") {
      line.destroy();
      return;
    }
    this.#leaves.set(rank, line);
    line.listen((message) => {
      if (message.kind === "bye") this.#left.add(rank);
      if (message.kind === "calls") this.calls.set(rank, message.calls);
      if (message.kind === "ended") this.#heard(rank, null);
    });
    const reason = await line.closed;
    if (!this.#left.has(rank)) this.#heard(rank, reason);
  }

  /** A rank has ended: all others hear of it, and it hears that they know. */
  #heard(rank: number, reason: string | null): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#onNews({ rank, reason, isPrinter: reason !== null });
      for (const [other, line] of this.#leaves) if (other !== rank) line.send({ kind: "ended", rank });
    }
    this.#leaves.get(rank)?.finish();
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    const lines = [...this.#leaves.values()];
    for (const line of lines) line.send({ kind: "ended", rank: 0 });
    await within(END_MS, Promise.all(lines.map((line) => line.closed)));
  }

  async leave(): Promise<void> {
    this.#isOver = true;
    for (const line of this.#leaves.values()) line.send({ kind: "bye" });
    await within(END_MS, Promise.all([...this.#leaves.values()].map((line) => line.closed)));
    for (const line of this.#leaves.values()) line.destroy();
    this.#server.close();
  }
}

/** Another rank, connected to rank 0. */
export class Leaf implements Star {
  readonly #line: Line;
  readonly #rank: number;
  #isOver = false;

  /**
   * Connects to the first address that leads to the hub.
   *
   * @param reports  for the end of rank 0: by how its connection ended, whether this rank prints it
   * @throws {EngineError} "watch": none does
   */
  static async open(
    rank: number,
    place: { readonly addresses: readonly string[]; readonly port: number; readonly token: string },
    reports: (isHostLost: boolean) => boolean,
    onNews: (news: News) => void,
  ): Promise<Leaf> {
    for (const address of place.addresses) {
      const line = await lineTo(address, place.port);
      line?.send({ kind: "hello", token: place.token, rank });
      if ((await line?.next(ANSWER_MS))?.kind === "welcome") return new Leaf(line!, rank, reports, onNews);
      line?.destroy();
    }
    throw new EngineError(
      "watch",
      `expected rank 0 at ${place.addresses.join(" or ")}, port ${place.port}, got no answer`,
    );
  }

  constructor(line: Line, rank: number, reports: (isHostLost: boolean) => boolean, onNews: (news: News) => void) {
    this.#line = line;
    this.#rank = rank;
    const hear = (news: News): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      onNews(news);
      line.finish();
    };
    line.listen((message) => {
      if (message.kind === "bye") this.#isOver = true;
      if (message.kind === "ended") hear({ rank: message.rank, reason: null, isPrinter: false });
    });
    void line.closed.then((reason) => hear({ rank: 0, reason, isPrinter: reports(reason === LOST) }));
    line.send({ kind: "join" });
  }

  /** Says to rank 0 how many collective calls this rank has begun. */
  report(calls: number): void {
    this.#line.send({ kind: "calls", calls });
  }

  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#line.send({ kind: "ended", rank: this.#rank });
    await within(END_MS, this.#line.closed);
  }

  async leave(): Promise<void> {
    this.#isOver = true;
    this.#line.send({ kind: "bye" });
    this.#line.finish();
    await within(END_MS, this.#line.closed);
  }
}

async function lineTo(host: string, port: number): Promise<Line | null> {
  const socket = socketTo({ host, port });
  const connected = new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  if (await within(CONNECT_MS, connected)) return new Line(socket);
  socket.destroy();
  return null;
}

/** The value of a promise; null: it takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

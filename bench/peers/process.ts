// A peer's process: each request is one line, and so is each answer.

import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";

export class PeerProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #complaints = "";

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    child.stderr.on("data", (chunk: Buffer) => {
      this.#complaints += chunk.toString("utf8");
    });
    // Without listeners a missing or ended program would end this process too. Both show as a missing answer.
    child.on("error", (error) => {
      this.#complaints += error.message;
      child.stdout.destroy();
    });
    child.stdin.on("error", () => {});
  }

  /** The text after "ready " in its first line. */
  async ready(): Promise<string> {
    const line = await this.#answer();
    if (!line.startsWith("ready ")) throw new Error(`expected "ready", got "${line}"`);
    return line.slice("ready ".length);
  }

  ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    return this.#answer();
  }

  close(): void {
    this.#child.stdin.end();
  }

  /** @throws {Error} the process ended; with the last line of its stderr */
  async #answer(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    const last = this.#complaints.trim().split("\n").at(-1);
    throw new Error(last ? `ended early: ${last}` : "ended early");
  }
}

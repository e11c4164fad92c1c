// The progress of reading files, shown where it takes long.

import { formatCount } from "../core/format.ts";
import type { LoadProgress } from "../run/samples.ts";
import { StatusLine } from "../train/progress.ts";
import type { Console } from "./console.ts";

/** Seconds after which progress is worth a line. */
const PATIENCE = 1;

/** Progress of a command on stderr, from its second second on; `done` removes the line from a terminal. */
export class LongWork {
  readonly #line: StatusLine | null;
  readonly #start = performance.now();

  constructor(console: Pick<Console, "showsProgress">) {
    this.#line = console.showsProgress ? new StatusLine(process.stderr) : null;
  }

  /** Shows a line now and then. */
  show(text: () => string): void {
    if (performance.now() - this.#start > 1000 * PATIENCE) this.#line?.show(text);
  }

  done(): void {
    if (performance.now() - this.#start > 1000 * PATIENCE) this.#line?.clear();
  }

  /** For the options of what reads files. */
  get onProgress(): (progress: LoadProgress) => void {
    return ({ work, done, total }) =>
      this.show(() => `${work}  ${formatCount(done)}/${formatCount(total)}  ${Math.floor((100 * done) / total)} %`);
  }
}

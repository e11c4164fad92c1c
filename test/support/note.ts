// Lines that a test file wants people to see although it passes; the runner collects them and prints them at the end.

/** How a note starts; the runner looks for it at the start of a line. */
export const NOTE_PREFIX = "# ";

/** How the note of a file whose tests use a GPU adapter starts; the runner adds how many there are. */
export const ADAPTER_NOTE = "gpu adapter: ";

/** How the note of a failing test starts (suite.ts). */
export const FAILURE_NOTE = "failed: ";

/** Emits a one-line note, e.g. `note("gpu adapter: NVIDIA H200")`. */
export function note(text: string): void {
  // uvu writes its progress without line ends, so a note starts a line of its own.
  process.stdout.write(`\n${NOTE_PREFIX}${text.replaceAll("\n", " ")}\n`);
}

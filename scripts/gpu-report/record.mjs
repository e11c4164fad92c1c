// Keeps the results of a report on disk at all times. FILE.rows has one JSON object per line, appended by each part; FILE is rewritten from these
// rows after each part.

import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

/** The file with the rows of the report `file`. */
export function rowsFileOf(file) {
  return `${file}.rows`;
}

/** Adds one row by a single short append, so that a killed process leaves its rows complete. */
export function appendRow(rowsFile, row) {
  appendFileSync(rowsFile, `${JSON.stringify(row)}\n`);
}

export class Record {
  #file;
  #facts;
  #parts = [];

  /** Begins a report; `facts` are its first fields. */
  constructor(file, facts) {
    this.#file = file;
    this.#facts = facts;
    writeFileSync(this.rowsFile, "");
    this.#write();
  }

  get rowsFile() {
    return rowsFileOf(this.#file);
  }

  /** Ends a part with its outcome and duration. A failure also becomes a row. */
  end(part, title, { outcome, seconds }) {
    this.#endLine();
    if (outcome !== "done") appendRow(this.rowsFile, { part, title, name: title, error: outcome });
    this.#parts.push({ part, title, outcome, seconds });
    this.#write();
  }

  read() {
    return JSON.parse(readFileSync(this.#file, "utf8"));
  }

  /** Completes the last line: a killed process may have left it without an end. */
  #endLine() {
    const text = readFileSync(this.rowsFile, "utf8");
    if (text !== "" && !text.endsWith("\n")) appendFileSync(this.rowsFile, "\n");
  }

  #write() {
    const report = { ...this.#facts, parts: this.#parts, rows: readRows(this.rowsFile) };
    const partial = `${this.#file}.part`;
    writeFileSync(partial, `${JSON.stringify(report, null, 1)}\n`);
    renameSync(partial, this.#file);
  }
}

/** All rows of a file; a line that is not JSON becomes a row that reports it. */
export function readRows(rowsFile) {
  if (!existsSync(rowsFile)) return [];
  return readFileSync(rowsFile, "utf8").split("\n").filter(Boolean).map(rowOf);
}

function rowOf(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { part: "record", name: "damaged row", error: `expected JSON, got ${line.slice(0, 80)}` };
  }
}

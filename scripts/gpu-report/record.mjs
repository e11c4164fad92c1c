// What a report has measured so far, on disk at any moment: FILE.rows has one JSON object per line, appended by whoever measures; FILE is
// written anew, whole, from these rows after each part.

import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

/** Where the rows of the report in `file` are. */
export function rowsFileOf(file) {
  return `${file}.rows`;
}

/** Adds one row. One short append, so that a process that is killed leaves its rows whole. */
export function appendRow(rowsFile, row) {
  appendFileSync(rowsFile, `${JSON.stringify(row)}\n`);
}

export class Record {
  #file;
  #facts;
  #parts = [];

  /** Begins a report; `facts` are told at its top. */
  constructor(file, facts) {
    this.#file = file;
    this.#facts = facts;
    writeFileSync(this.rowsFile, "");
    this.#write();
  }

  get rowsFile() {
    return rowsFileOf(this.#file);
  }

  /** A part is over: how, and after how many seconds. What went wrong with it is a row, too. */
  end(part, title, { outcome, seconds }) {
    this.#endLine();
    if (outcome !== "done") appendRow(this.rowsFile, { part, title, name: title, error: outcome });
    this.#parts.push({ part, title, outcome, seconds });
    this.#write();
  }

  read() {
    return JSON.parse(readFileSync(this.#file, "utf8"));
  }

  /** A process that was cut may have left a line without its end. */
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

/** All rows of a file; a line that is no JSON becomes a row that says so. */
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

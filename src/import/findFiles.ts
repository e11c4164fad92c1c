// Which files of a folder belong to which layout, by their names.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, FileFormatError, nearestName } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { fileError } from "../io/files.ts";
import type { FoundFiles, Layout, LayoutFile } from "./layouts/layout.ts";

const WHERE = "importConnectome";
/** Layouts have files at most this deep, and folders of data sets no more entries than this. */
const DEEPEST = 3;
const MOST_ENTRIES = 20_000;
/** Longest list of files in a message. */
const LISTED = 12;

/** A file that may belong to a layout. */
interface Candidate {
  readonly path: string;
  /** With the folders below the one that was given, separated by "/". */
  readonly name: string;
}

/** Files that the user names, in place of those found by name. */
export type NamedFiles = Readonly<Record<string, string | undefined>>;

/**
 * All files below folders, and files themselves.
 *
 * @throws {FileFormatError} a path that does not exist, a folder with more than 20,000 entries
 */
export async function candidatesOf(paths: readonly string[]): Promise<readonly Candidate[]> {
  const candidates: Candidate[] = [];
  let entries = 0;
  const walk = async (folder: string, name: string, depth: number): Promise<void> => {
    const found = await readdir(folder, { withFileTypes: true });
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of found) {
      if (entry.name.startsWith(".")) continue;
      if (++entries > MOST_ENTRIES) {
        throw new FileFormatError(folder, `a folder with at most ${MOST_ENTRIES} entries`, "more", "file-limit");
      }
      const [path, inner] = [join(folder, entry.name), name === "" ? entry.name : `${name}/${entry.name}`];
      const kind = entry.isSymbolicLink() ? await stat(path).catch(() => null) : entry;
      if (kind?.isFile()) candidates.push({ path, name: inner });
      else if (kind?.isDirectory() && depth < DEEPEST) await walk(path, inner, depth + 1);
    }
  };
  for (const path of paths) {
    try {
      if ((await stat(path)).isDirectory()) await walk(path, "", 1);
      else candidates.push({ path, name: path.replaceAll("\\", "/") });
    } catch (cause) {
      throw fileError(path, "a folder of published files, or one of them", cause);
    }
  }
  return candidates;
}

/**
 * The layout of this name.
 * @throws {ArgumentError} with the nearest name
 */
export function layoutOf(name: string, layouts: readonly Layout[]): Layout {
  const found = layouts.find((layout) => layout.name === name);
  if (found) return found;
  const names = layouts.map((layout) => layout.name);
  const near = nearestName(name, names);
  const hint = near === null ? "" : ` (did you mean ${quoteText(near)}?)`;
  throw new ArgumentError(WHERE, "layout", `one of ${names.join(", ")}`, `${quoteText(name)}${hint}`);
}

/**
 * The layout whose needed files are all there.
 * @throws {ArgumentError} none, with what the nearest ones lack; or several
 */
export function recognise(candidates: readonly Candidate[], layouts: readonly Layout[]): Layout {
  const known = layouts.filter((layout) => layout.isRecognised);
  const lacking = (layout: Layout): readonly LayoutFile[] =>
    layout.files.filter((file) => file.isNeeded && matchesOf(file, candidates).length === 0);
  const fitting = known.filter((layout) => lacking(layout).length === 0);
  if (fitting.length === 1) return fitting[0]!;
  const expected = "the name of a layout before the files (npx axograd import LAYOUT FILES)";
  if (fitting.length > 1) {
    const names = fitting.map((layout) => `${layout.name} (${layout.title})`).join(", ");
    throw new ArgumentError(WHERE, "layout", expected, `files that fit several: ${names}`);
  }
  const near = known.filter((layout) => lacking(layout).length < layout.files.filter((file) => file.isNeeded).length);
  const missing = near.map(
    (layout) =>
      `${layout.name} lacks ${lacking(layout)
        .map(({ name }) => name)
        .join(", ")}`,
  );
  const why = missing.length > 0 ? missing.join("; ") : `known are ${layouts.map(({ name }) => name).join(", ")}`;
  throw new ArgumentError(WHERE, "layout", expected, `files of no layout: ${listed(candidates)}; ${why}`);
}

/**
 * The files of a layout, by role: named ones, else those with the names that the layout knows.
 *
 * @throws {FileFormatError} "file-missing": a needed file is not there, with the name to download
 * @throws {ArgumentError} several files for one role, or a named file for a role that the layout does not have
 */
export function filesOf(layout: Layout, candidates: readonly Candidate[], named: NamedFiles): FoundFiles {
  const found = new Map<string, string>();
  for (const [role, path] of Object.entries(named)) {
    if (path === undefined) continue;
    if (!layout.files.some((file) => file.role === role)) {
      const roles = [...new Set(layout.files.map((file) => file.role))].join(", ");
      throw new ArgumentError(WHERE, role, `a file that the layout ${layout.name} has (${roles})`, path);
    }
    found.set(role, path);
  }
  for (const file of layout.files) {
    if (found.has(file.role)) continue;
    const matches = matchesOf(file, candidates);
    if (matches.length > 1) {
      const option = file.role === "edges" || file.role === "neurons" ? ` (--${file.role} FILE)` : "";
      const expected = `one file with the ${file.role} of ${layout.title}${option}`;
      throw new ArgumentError(WHERE, file.role, expected, `${matches.length}: ${listed(matches)}`);
    }
    if (matches.length === 1) found.set(file.role, matches[0]!.path);
    else if (file.isNeeded) {
      const expected = `${file.name}, the ${file.role} of ${layout.title}`;
      throw new FileFormatError(WHERE, expected, `none among ${listed(candidates)}`, "file-missing");
    }
  }
  return found;
}

/** Files with the most wanted name that occurs. */
function matchesOf({ patterns }: LayoutFile, candidates: readonly Candidate[]): readonly Candidate[] {
  for (const pattern of patterns) {
    const matches = candidates.filter(({ name }) => pattern.test(name));
    if (matches.length > 0) return matches;
  }
  return [];
}

function listed(files: readonly Candidate[]): string {
  if (files.length === 0) return "no files";
  const names = files.slice(0, LISTED).map(({ name }) => name);
  return `${names.join(", ")}${files.length > LISTED ? `, … (${files.length} files)` : ""}`;
}

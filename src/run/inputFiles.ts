// The files that a run reads, by the hashes of their content: whether they are still the same, wherever they lie now.

import { stat } from "node:fs/promises";
import { ArgumentError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { plural, printable } from "../core/text.ts";
import { type HashedFile, hashOf } from "../io/hash.ts";
import type { Connectome } from "./network.ts";
import type { LoadOptions, SampleSplits } from "./samples.ts";

/** What a file is to a run. */
export type FileRole = "connectome" | "neurons" | "data";

/** A file that a run reads. */
export interface InputFile extends HashedFile {
  readonly role: FileRole;
}

const NAMES: Readonly<Record<FileRole, string>> = {
  connectome: "connectome",
  neurons: "table of neurons",
  data: "samples",
};

/** Hashes the files of a network and its samples. @throws {FileFormatError} one that is gone, or cannot be read */
export async function hashInputs(
  { file, tableFile }: Pick<Connectome, "file" | "tableFile">,
  samples: Pick<SampleSplits, "files">,
  onProgress: NonNullable<LoadOptions["onProgress"]> = () => {},
): Promise<InputFile[]> {
  const files = [
    ...(file === null ? [] : [{ role: "connectome", file } as const]),
    ...(tableFile === null ? [] : [{ role: "neurons", file: tableFile } as const]),
    ...samples.files.map((data) => ({ role: "data", file: data }) as const),
  ];
  const sizes = await Promise.all(files.map(async (each) => (await stat(each.file).catch(() => null))?.size ?? 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const hashed: InputFile[] = [];
  let before = 0;
  for (const each of files) {
    const work = `hashing ${printable(each.file)}`;
    const hash = await hashOf(each.file, (bytes) => onProgress({ work, done: before + bytes, total }));
    before += hash.bytes;
    hashed.push({ ...each, ...hash });
  }
  return hashed;
}

/**
 * Compares the files of a run with those that it began with, in their order. They may lie elsewhere.
 *
 * @param roles  that are compared
 * @throws {ArgumentError} a file with other content, which it names; more files, or fewer
 */
export function checkSameFiles(
  where: string,
  began: readonly HashedFile[],
  now: readonly InputFile[],
  roles: readonly FileRole[] = ["connectome", "neurons", "data"],
): void {
  for (const role of roles) {
    const [before, after] = [began, now].map((files) => files.filter((file) => file.role === role)) as [
      HashedFile[],
      InputFile[],
    ];
    if (before.length !== after.length) {
      const expected = `${plural(before.length, "file")} (${namesOf(before)}), as the run began with`;
      throw new ArgumentError(where, NAMES[role], expected, `${after.length} (${namesOf(after)})`);
    }
    after.forEach((file, i) => {
      const first = before[i]!;
      if (first.sha256 === file.sha256) return;
      const from = first.file === file.file ? "" : ` of ${printable(first.file)}`;
      const expected = `the content${from} that the run began with, ${contentOf(first)}`;
      throw new ArgumentError(where, printable(file.file), expected, `another, ${contentOf(file)}`);
    });
  }
}

function namesOf(files: readonly HashedFile[]): string {
  return files.length === 0 ? "none" : files.map(({ file }) => printable(file)).join(", ");
}

/** As much of a hash as tells two files apart for people. */
function contentOf({ sha256, bytes }: HashedFile): string {
  return `SHA-256 ${sha256.slice(0, 12)}… of ${formatCount(bytes)} bytes`;
}

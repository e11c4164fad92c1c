// Matrix Market files (.mtx): coordinate matrices as text, indices from 1, symmetric ones stored by half.
// Source: Boisvert, Pozo, Remington, "The Matrix Market exchange formats: initial design", NISTIR 5935, 1996.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { parseDecimal, parseWhole } from "./decimal.ts";
import { replaceFile } from "./durable.ts";
import { checkExtents, type ExtentOptions } from "./limits.ts";
import { matrixLines } from "./matrixLines.ts";
import { forEachLine } from "./textLines.ts";
import { Triples } from "./triples.ts";

type Field = "real" | "integer" | "pattern";
type Symmetry = "general" | "symmetric" | "skew-symmetric";

/** Names in the banner. SciPy writes unsigned-integer; hermitian real numbers are symmetric. */
const FIELDS: Readonly<Record<string, Field>> = {
  real: "real",
  double: "real",
  integer: "integer",
  "unsigned-integer": "integer",
  pattern: "pattern",
};
const SYMMETRIES: Readonly<Record<string, Symmetry>> = {
  general: "general",
  symmetric: "symmetric",
  hermitian: "symmetric",
  "skew-symmetric": "skew-symmetric",
};

interface Banner {
  readonly field: Field;
  readonly symmetry: Symmetry;
}

interface Size {
  readonly nRows: number;
  readonly nCols: number;
  readonly entries: number;
}

const EXPECTED = "a Matrix Market file";
const PERCENT = 37;
const SPACE = 32;
const TAB = 9;
const UPPER_D = 68;
const UPPER_E = 69;
const LOWER_D = 100;
const MAX_EXTENT = 2 ** 31;

/**
 * Reads a coordinate matrix (real, integer, unsigned-integer or pattern; general, symmetric, hermitian or skew-symmetric), gzip or
 * not, in one pass. Entries of a pattern are 1; the other half of a symmetric matrix is filled in; entries that occur twice are
 * summed. Exponents may be FORTRAN's (1.0D+02).
 *
 * @returns values in f64
 * @throws {FileFormatError} not such a file (`code` "file-dense" for an array), more or fewer entries than announced
 *   ("file-truncated" for fewer), by file:line an entry that does not fit; extents out of proportion to the entries ("file-limit")
 */
export async function readMatrixMarket(file: string, options: ExtentOptions = {}): Promise<Csr> {
  let banner: Banner | null = null;
  let size: Size | null = null;
  let count = 0;
  let triples = new Triples("f64", 0);
  const fields = new Fields();
  await forEachLine(file, EXPECTED, (bytes, begin, end, line) => {
    if (banner === null) {
      banner = parseBanner(text(bytes, begin, end), file);
      return;
    }
    const width = fields.split(bytes, begin, end);
    if (bytes[begin] === PERCENT || width === 0) return;
    const bad = (expected: string): FileFormatError =>
      new FileFormatError(`${file}:${line}`, expected, quoteText(text(bytes, begin, end)));
    if (size === null) {
      size = parseSize(fields, width, banner, bad);
      // Memory must not follow the announced number: it grows with the file.
      triples = new Triples("f64", Math.min(size.entries, 1 << 16) + 1);
      return;
    }
    if (++count > size.entries) throw bad(`${size.entries} entries, as the size line says`);
    const pattern = banner.field === "pattern";
    if (width !== (pattern ? 2 : 3)) throw bad(pattern ? "row and column" : "row, column and value");
    const row = fields.whole(0) - 1;
    const col = fields.whole(1) - 1;
    if (row < 0 || row >= size.nRows) throw bad(`a row from 1 to ${size.nRows}`);
    if (col < 0 || col >= size.nCols) throw bad(`a column from 1 to ${size.nCols}`);
    const value = pattern ? 1 : fields.number(2);
    if (Number.isNaN(value)) throw bad("a finite number");
    triples.push(row, col, value);
    if (banner.symmetry === "general") return;
    const skew = banner.symmetry === "skew-symmetric";
    if (row < col || (skew && row === col)) throw bad(`entries ${skew ? "below" : "on and below"} the diagonal only`);
    if (row !== col) triples.push(col, row, skew ? -value : value);
  });
  // Assigned inside the visitor, which the compiler does not follow.
  const { nRows, nCols, entries } = (size as Size | null) ?? missingSize(file, banner !== null);
  if (count < entries) throw new FileFormatError(file, `${entries} entries`, `${count}`, "file-truncated");
  checkExtents({ nRows, nCols }, triples.length, file, options);
  const { rows, cols, values } = triples;
  return csrFromCoo({ nRows, nCols, rows, cols, values }, file);
}

/** Writes a matrix as `coordinate real general`, by row, then by column, durably; values read back to the same bits. */
export async function writeMatrixMarket(file: string, csr: Csr): Promise<void> {
  const head = `%%MatrixMarket matrix coordinate real general\n${csr.nRows} ${csr.nCols} ${csr.nnz}\n`;
  await replaceFile(
    file,
    matrixLines(csr, head, (row, col, value) => `${row + 1} ${col + 1} ${value}\n`),
  );
}

function parseBanner(line: string, file: string): Banner {
  const [magic, object, format, field, symmetry] = line.trim().toLowerCase().split(/\s+/);
  if (magic !== "%%matrixmarket") {
    throw new FileFormatError(file, `${EXPECTED} (%%MatrixMarket …)`, quoteText(line));
  }
  if (object !== "matrix" || format !== "coordinate") {
    const code = format === "array" ? "file-dense" : "file-format";
    throw new FileFormatError(file, "a coordinate matrix", quoteText(`${object} ${format}`), code);
  }
  const knownField = own(FIELDS, field);
  if (!knownField) throw new FileFormatError(file, `values ${Object.keys(FIELDS).join(", ")}`, quoteValue(field));
  const knownSymmetry = own(SYMMETRIES, symmetry);
  if (!knownSymmetry) {
    throw new FileFormatError(file, `symmetry ${Object.keys(SYMMETRIES).join(", ")}`, quoteValue(symmetry));
  }
  return { field: knownField, symmetry: knownSymmetry };
}

function own<T>(table: Readonly<Record<string, T>>, name: string | undefined): T | undefined {
  return name !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}

function parseSize(fields: Fields, width: number, { symmetry }: Banner, bad: (expected: string) => Error): Size {
  const [nRows, nCols, entries] = [fields.whole(0), fields.whole(1), fields.whole(2)];
  if (width !== 3 || entries < 0) throw bad("a size line: rows, columns, entries");
  for (const extent of [nRows, nCols]) {
    if (!(extent >= 1 && extent <= MAX_EXTENT)) throw bad("rows and columns from 1 to 2^31");
  }
  if (symmetry !== "general" && nRows !== nCols) throw bad(`as many rows as columns (${symmetry})`);
  return { nRows, nCols, entries };
}

function missingSize(file: string, hasBanner: boolean): never {
  const got = hasBanner ? "the end of the file after its banner" : "an empty file";
  throw new FileFormatError(file, "a size line: rows, columns, entries", got, "file-truncated");
}

/** The words of a line, separated by spaces or tabs. */
class Fields {
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #bounds: number[] = [];

  /** Returns how many words there are. */
  split(bytes: Uint8Array, begin: number, end: number): number {
    this.#bytes = bytes;
    let width = 0;
    for (let at = begin; at < end; at++) {
      if (bytes[at] === SPACE || bytes[at] === TAB) continue;
      this.#bounds[2 * width] = at;
      while (at < end && bytes[at] !== SPACE && bytes[at] !== TAB) at++;
      this.#bounds[2 * width + 1] = at;
      width++;
    }
    return width;
  }

  whole(i: number): number {
    return parseWhole(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!);
  }

  number(i: number): number {
    const [begin, end] = [this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!];
    const value = parseDecimal(this.#bytes, begin, end);
    return Number.isNaN(value) ? parseFortran(this.#bytes.slice(begin, end)) : value;
  }
}

/** A number with the exponent letter of FORTRAN's double precision, D for E, or NaN. */
function parseFortran(bytes: Uint8Array): number {
  const at = bytes.findIndex((byte) => byte === UPPER_D || byte === LOWER_D);
  if (at < 0) return Number.NaN;
  bytes[at] = UPPER_E;
  return parseDecimal(bytes, 0, bytes.length);
}

function text(bytes: Uint8Array, begin: number, end: number): string {
  return new TextDecoder().decode(bytes.subarray(begin, Math.min(end, begin + 200)));
}

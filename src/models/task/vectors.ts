// Targets that are vectors: which numbers of a target belong to one place.

import type { Graph } from "../../autodiff/graph.ts";
import { type Csr, csrFromCoo } from "../../core/csr.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { TargetShape } from "../../core/targets.ts";
import type { Value } from "../../ops/value.ts";

/** Numbers of a target as vectors of `size` components: component k of place p is number k·places + p. */
export class Vectors {
  readonly size: number;
  readonly #where: string;

  /** @throws {ArgumentError} a size that is no whole number of at least 1 */
  constructor(where: string, size: number) {
    if (!(Number.isInteger(size) && size >= 1))
      throw new ArgumentError(where, "vectorSize", "a whole number of at least 1", `${size}`);
    this.size = size;
    this.#where = where;
  }

  /** The matrix that `squares` reads, by its name in graphs. @throws {ArgumentError} numbers that make no whole vectors */
  matrices({ width }: TargetShape): Readonly<Record<string, Csr>> {
    const { size } = this;
    const places = width / size;
    if (!Number.isInteger(places)) {
      const expected = `targets of whole vectors, ${size} numbers each (vectorSize)`;
      throw new ArgumentError(this.#where, "target.width", expected, `${width} numbers`);
    }
    const rows = Uint32Array.from({ length: width * size }, (_, e) => Math.floor(e / size));
    const cols = rows.map((row, e) => (row % places) + (e % size) * places);
    const values = new Float32Array(rows.length).fill(1);
    return { [this.#name]: csrFromCoo({ nRows: width, nCols: width, rows, cols, values }, this.#where) };
  }

  /** For each number the squared length of its vector. [width × lanes] → the same */
  squares(g: Graph, x: Value): Value {
    const { rows } = x;
    return g.ops.matmul(g.sparse(this.#name, rows, rows, rows * this.size), g.ops.mul(x, x));
  }

  get #name(): string {
    return `vectors of ${this.size}`;
  }
}

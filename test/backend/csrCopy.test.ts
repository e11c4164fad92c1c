// The copy of a matrix's values from CSC to CSR order: the same for every matrix, whether it is copied by a gather or by blocks of rows.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend, DeviceSparse } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { WasmSparse } from "../../src/backend/wasm/buffers.ts";
import type { WasmExecutable } from "../../src/backend/wasm/compile.ts";
import { blocksOf } from "../../src/backend/wasm/csrCopy.ts";
import { type Csr, cscOf, indexArray } from "../../src/core/csr.ts";
import type { DType } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";

const test = suite("copy to CSR order");

/** A matrix whose row i has degrees[i] entries in random columns; the last column, too, is in use. */
function randomMatrix(nCols: number, degrees: readonly number[]): Csr {
  const random = new RandomStream(keyOfSeed(7));
  const rows = degrees.map((degree) => {
    if (degree >= nCols) return Array.from({ length: nCols }, (_, col) => col);
    const cols = new Set<number>(degree > 0 ? [nCols - 1] : []);
    while (cols.size < degree) cols.add(Math.floor(random.uniform() * nCols));
    return [...cols].sort((a, b) => a - b);
  });
  const rowPtr = new Uint32Array(degrees.length + 1);
  rows.forEach((cols, row) => {
    rowPtr[row + 1] = rowPtr[row]! + cols.length;
  });
  const nnz = rowPtr.at(-1)!;
  const colIdx = indexArray(nCols, nnz);
  rows.forEach((cols, row) => {
    colIdx.set(cols, rowPtr[row]);
  });
  const values = Float32Array.from({ length: nnz }, (_, k) => k + 1);
  return { nRows: degrees.length, nCols, nnz, rowPtr, colIdx, values, duplicatesSummed: 0 };
}

const times = (n: number, degree: (row: number) => number): number[] =>
  Array.from({ length: n }, (_, row) => degree(row));

const WIDE = 66_000;
const MATRICES: readonly { readonly name: string; readonly csr: Csr; readonly isDivided: boolean }[] = [
  { name: "empty", csr: randomMatrix(5, [0, 0, 0]), isDivided: false },
  {
    name: "small",
    csr: randomMatrix(
      300,
      times(200, (row) => row % 7),
    ),
    isDivided: false,
  },
  {
    name: "wide",
    csr: randomMatrix(
      WIDE,
      times(WIDE, (row) => row % 40),
    ),
    isDivided: true,
  },
  {
    name: "wide, with empty rows, one of everything, and few rows",
    csr: randomMatrix(
      WIDE,
      times(2500, (row) => (row === 77 ? WIDE : row % 3 === 0 ? 0 : 600)),
    ),
    isDivided: true,
  },
  {
    name: "wide and uneven: a row is more than a block",
    csr: { ...randomMatrix(2 ** 20, [2 ** 20, 3]), nCols: WIDE },
    isDivided: false,
  },
];

async function onBackend(dtype: DType, threads: number, body: (backend: Backend) => Promise<void>): Promise<void> {
  const backend = await createWasmBackend({ dtype, threads, debug: threads === 1 });
  try {
    await body(backend);
  } finally {
    await backend.dispose();
  }
}

for (const { name, csr, isDivided } of MATRICES) {
  test(`${name}: whether a division into blocks of rows pays`, () => {
    const blocks = blocksOf(csr, "f32");
    assert.is(blocks !== null, isDivided);
    if (!blocks) return;
    assert.ok(blocks.count * 2 ** blocks.shift >= csr.nRows && (blocks.count - 1) * 2 ** blocks.shift < csr.nRows);
    assert.ok(blocks.entries * blocks.count >= csr.nnz);
  });
}

for (const dtype of ["f32", "f64"] as const) {
  for (const threads of [1, 2, 3]) {
    for (const { name, csr } of MATRICES.slice(0, 4)) {
      test(`${name}, ${dtype}, ${threads} threads: values in CSR order are those in CSC order`, async () => {
        await onBackend(dtype, threads, async (backend) => {
          using parameters = new ParameterSet(backend);
          const { sparse, value } = parameters.addSparse("w", csr, { trainable: false });
          for (const factor of [2, 3]) {
            const csc = Float64Array.from({ length: csr.nnz }, (_, p) => factor * p + 1);
            backend.upload(value, csc);
            parameters.touch();
            parameters.refresh();
            const { cscOfCsr } = cscOf(csr);
            const copied = await backend.download(sparse!.valuesCsr);
            assert.is(
              copied.findIndex((w, k) => w !== factor * cscOfCsr[k]! + 1),
              -1,
            );
            // What the copy was made from is as it was.
            const kept = await backend.download(sparse!.valuesCsc);
            assert.is(
              kept.findIndex((w, p) => w !== csc[p]),
              -1,
            );
          }
        });
      });
    }
  }
}

test("only the copy of all values of a divided matrix takes two passes", async () => {
  const { csr } = MATRICES[2]!;
  await onBackend("f32", 1, async (backend) => {
    const [W, small] = [backend.sparse("W", csr), backend.sparse("S", MATRICES[1]!.csr)];
    const other = backend.buffer("other", csr.nnz);
    const phases = (matrix: DeviceSparse, csc = matrix.valuesCsc): number => {
      const g = new Graph();
      g.store("csr", g.gather(g.row("csc", matrix.nnz), "cscOfCsr", matrix.nnz));
      const executable = backend.compile(lower(g, "copy", "parameters"), backend.layoutFor(1));
      const { cscOfCsr, valuesCsr } = matrix;
      const bound = backend.bind(executable, { csc, csr: valuesCsr, cscOfCsr });
      return (bound.executable as WasmExecutable).phases.length;
    };
    assert.is(phases(W), 2);
    assert.is(phases(W, other), 1);
    assert.is(phases(small), 1);
  });
});

test("an imagined device takes the same memory", async () => {
  const { csr } = MATRICES[2]!;
  await onBackend("f32", 2, async (backend) => {
    const imagined = backend.imagined();
    const taken = [backend, imagined].map((device) => {
      using parameters = new ParameterSet(device);
      const { sparse } = parameters.addSparse("w", csr, { trainable: false });
      assert.ok(sparse instanceof WasmSparse && sparse.csrCopy !== null);
      parameters.refresh();
      return device.memory().peakBytes;
    });
    assert.is(taken[1], taken[0]);
  });
});

test.run();

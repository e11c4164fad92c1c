// The work after a gradient: Adam's update of every weight, then the constraint and the copy in CSR order.

import type { Backend } from "../../src/backend/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { gamma } from "../../test/support/close.ts";
import { uniformArray } from "../arrays.ts";
import type { Network } from "../networks.ts";
import type { BenchCase, Prepared } from "./case.ts";

const NAME = "weights";

/** One step of Adam with one parameter per connection. */
export function adamCase({ csr }: Network): BenchCase {
  const values = uniformArray(csr.nnz, "parameter", 1, 2);
  const gradient = uniformArray(csr.nnz, "gradient", 0.5, 1);
  return {
    op: "adam",
    batch: 0,
    prepare: (backend: Backend): Prepared => {
      const parameters = new ParameterSet(backend);
      const parameter = parameters.addVector(NAME, values, { trainable: true });
      const adam = new Adam(backend, parameters);
      backend.upload(parameter.grad!, gradient);
      return {
        run: () => adam.step(),
        results: async () => ({ [NAME]: await parameters.values(NAME) }),
        release: () => {
          adam.dispose();
          parameters.dispose();
        },
      };
    },
    // All terms of both moments are positive: about 20 roundings, without cancellation.
    bounds: async (_, expected, dtype) => ({
      [NAME]: expected[NAME]!.map((p) => gamma(20, dtype) * Math.abs(p)),
    }),
  };
}

/** The constraint w ≥ 0 and the gather from CSC to CSR order. */
export function refreshCase({ csr }: Network): BenchCase {
  return {
    op: "csr.refresh",
    batch: 0,
    prepare: (backend: Backend): Prepared => {
      const parameters = new ParameterSet(backend);
      const { sparse } = parameters.addSparse(NAME, csr, { trainable: false, constraint: { min: 0 } });
      parameters.set(
        NAME,
        csr.values.map((w, k) => (k % 2 === 0 ? -w : 2 * w)),
        { clamp: true },
      );
      return {
        run: () => {
          parameters.touch();
          parameters.refresh();
        },
        results: async () => ({ [NAME]: (await backend.download(sparse!.valuesCsr)) as FloatArray }),
        release: () => parameters.dispose(),
      };
    },
    // Exact: halves and doubles of f32 numbers.
    bounds: async (_, expected) => ({ [NAME]: new Float64Array(expected[NAME]!.length) }),
  };
}

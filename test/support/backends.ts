// One test body on every backend that runs on any machine: the oracle, and WASM in both precisions.

import type { Test } from "uvu";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { DType } from "../../src/core/dtype.ts";
import { createOracleBackend } from "./oracleBackend.ts";
import { suite } from "./suite.ts";

/** What a test gets: the backend of its suite. */
export interface WithBackend {
  backend: Backend;
}

const BACKENDS: readonly { readonly name: string; readonly dtype: DType; readonly open: () => Promise<Backend> }[] = [
  { name: "oracle", dtype: "f64", open: async () => createOracleBackend() },
  // Two threads, so that work is split even where one would do.
  { name: "wasm f64", dtype: "f64", open: () => createWasmBackend({ dtype: "f64", threads: 2 }) },
  { name: "wasm f32", dtype: "f32", open: () => createWasmBackend({ dtype: "f32", threads: 2 }) },
];

/**
 * Registers a suite per backend and schedules it; `define` adds its tests, which get the backend as their context. Call it without
 * waiting for anything in between: uvu runs what is registered as soon as the file pauses.
 *
 * @param dtypes only backends of these precisions; checks against differences need "f64"
 */
export function forEachBackend(
  title: string,
  dtypes: readonly DType[],
  define: (test: Test<WithBackend>) => void,
): void {
  for (const { name, open } of BACKENDS.filter(({ dtype }) => dtypes.includes(dtype)))
    onBackend(`${title}, ${name}`, open, define);
}

/** Registers a suite on one backend, as `forEachBackend`. */
export function onBackend(
  title: string,
  open: () => Promise<Backend>,
  define: (test: Test<WithBackend>) => void,
): void {
  const test = suite<WithBackend>(title, {} as WithBackend);
  test.before(async (context) => {
    context.backend = await open();
  });
  define(test);
  test.after(({ backend }) => backend.dispose());
  test.run();
}

/** A backend that behaves like `backend` but for the given facts and methods, e.g. to look seldom, as a GPU's host does. */
export function variant(
  backend: Backend,
  facts: Partial<Pick<Backend, "isAsynchronous" | "lanesFor" | "buffer" | "compile" | "run" | "buffersIfRoom">>,
): Backend {
  return new Proxy(backend, {
    get(target, key) {
      if (Object.hasOwn(facts, key)) return Reflect.get(facts, key);
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

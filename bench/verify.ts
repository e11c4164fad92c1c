// Compares results with an f64 backend; nothing is timed before.

import type { Backend } from "../src/backend/backend.ts";
import { createWasmBackend } from "../src/backend/wasm/backend.ts";
import { assertClose } from "../test/support/close.ts";
import { createOracleBackend } from "../test/support/oracleBackend.ts";
import type { BenchCase, Prepared, Results } from "./cases/case.ts";

/** Results differ from the reference by more than rounding can explain. */
export class WrongResultError extends Error {}

/** Above this many products the oracle, a plain interpreter, would take minutes. */
const ORACLE_PRODUCTS = 2e7;

/** The reference: the oracle if it is fast enough, else the f64 WASM backend. @param products of one check, roughly */
export async function openReference(products: number): Promise<Backend> {
  return products <= ORACLE_PRODUCTS ? createOracleBackend() : createWasmBackend({ dtype: "f64" });
}

export interface Verified {
  readonly prepared: Prepared;
  readonly expected: Results;
  readonly bounds: Results;
}

/**
 * Prepares a case on `backend`, runs it once, and compares.
 *
 * @throws {WrongResultError} naming the worst element
 */
export async function verify(benchCase: BenchCase, backend: Backend, reference: Backend): Promise<Verified> {
  const expected = await resultsOnce(benchCase, reference);
  const bounds = await benchCase.bounds(reference, expected, backend.dtype);
  const prepared = benchCase.prepare(backend);
  try {
    prepared.run();
    checkResults(benchCase.op, await prepared.results(), expected, bounds);
    return { prepared, expected, bounds };
  } catch (error) {
    prepared.release();
    throw error;
  }
}

/** @throws {WrongResultError} a result that is missing, of another size, not finite or beyond its bound */
export function checkResults(label: string, actual: Results, expected: Results, bounds: Results): void {
  for (const [name, values] of Object.entries(expected)) {
    try {
      assertClose(actual[name] ?? [], values, bounds[name]!, `${label}, ${name}`);
    } catch (cause) {
      throw new WrongResultError(cause instanceof Error ? cause.message : `${cause}`, { cause });
    }
  }
}

async function resultsOnce(benchCase: BenchCase, backend: Backend): Promise<Results> {
  const prepared = benchCase.prepare(backend);
  try {
    prepared.run();
    return await prepared.results();
  } finally {
    prepared.release();
  }
}

// Compiles rates.as with the AssemblyScript compiler, in memory. Only the parent process does so: the compiler is large and would burden
// processes that measure.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import asc from "assemblyscript/asc";
import { repositoryRoot } from "../../test/support/shared.ts";

const SOURCE = "rates.ts";
const OUTPUT = "rates.wasm";

/** The bytes of the module; it imports its memory as `env.memory`. */
export async function compileRates(): Promise<Uint8Array> {
  const source = readFileSync(join(repositoryRoot(), "bench", "roofline", "rates.as"), "utf8");
  let bytes: Uint8Array | null = null;
  const options = ["--optimizeLevel", "3", "--noAssert", "--runtime", "stub", "--importMemory", "--enable", "simd"];
  const { error, stderr } = await asc.main([SOURCE, "--outFile", OUTPUT, ...options], {
    // The only file, under a name that the compiler accepts.
    readFile: (name) => (name === SOURCE ? source : null),
    writeFile: (name, contents) => {
      if (name === OUTPUT && typeof contents !== "string") bytes = contents;
    },
    listFiles: () => [],
  });
  if (error || !bytes)
    throw new Error(`compileRates: expected a module, got ${error?.message ?? "nothing"}\n${stderr}`);
  return bytes;
}

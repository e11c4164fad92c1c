// The version of axograd, as package.json states it; checkpoints, runs and imported connectomes are marked with it.

import { createRequire } from "node:module";

/** Semantic version. */
export const VERSION: string = (createRequire(import.meta.url)("axograd/package.json") as { version: string }).version;

// The version that checkpoints and runs are marked with.

export { VERSION } from "../core/version.ts";

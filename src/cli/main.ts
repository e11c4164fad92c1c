#!/usr/bin/env node
// The command line. What it answers to signals is settled before anything else is loaded.

import { endAtSignals } from "./signals.ts";

endAtSignals();
const { main } = await import("./program.ts");
await main(process.argv.slice(2));

#!/usr/bin/env node
// The command line. Signal handlers are set before anything else is loaded.

import { endAtSignals } from "./signals.ts";

endAtSignals();
const { main } = await import("./program.ts");
await main(process.argv.slice(2));

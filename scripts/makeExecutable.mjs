// Makes the command executable, as npm does when it installs the package: npx links to it in a checkout, too, and trusts an earlier link.

import { chmodSync } from "node:fs";
import { fileURLToPath } from "node:url";

chmodSync(fileURLToPath(new URL("../dist/src/cli/main.js", import.meta.url)), 0o755);

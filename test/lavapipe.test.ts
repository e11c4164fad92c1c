// Tests on lavapipe where it cannot be fetched: a visible word, and no failure.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tempDir } from "./io/fixtures.ts";

const SCRIPT = fileURLToPath(new URL("../../scripts/testOnLavapipe.mjs", import.meta.url));
const test = suite("lavapipe");

/** The script with only these commands in its path, which are shell scripts, and an empty folder for what it keeps. */
function run(commands: Readonly<Record<string, string>>): { status: number | null; stdout: string; kept: string[] } {
  const [bin, kept] = [join(tempDir(), "bin"), tempDir()];
  mkdirSync(bin);
  for (const [name, script] of Object.entries(commands))
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT], {
    encoding: "utf8",
    env: { PATH: bin, TMPDIR: kept, TMP: kept, TEMP: kept },
  });
  return { status, stdout, kept: readdirSync(kept) };
}

for (const [what, commands] of [
  ["without apt", {}],
  ["without a network", { "apt-get": 'echo "E: Failed to fetch" >&2; exit 100' }],
  ["where Mesa is too old", { "apt-get": "", "apt-cache": 'echo "mesa-vulkan-drivers | 22.3.6-1 | http://here"' }],
] as const) {
  test(`${what}, tests are skipped visibly, and nothing is left over`, () => {
    const { status, stdout, kept } = run(commands);
    assert.match(stdout, /^# lavapipe: not available here \(.+\); its tests SKIPPED$/m);
    assert.is(status, 0);
    assert.equal(kept, []);
  });
}

test.run();

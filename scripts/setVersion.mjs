// Copies the version of package.json to where readers look for it; `npm version` runs it before it commits.
//
// A version that is new begins its section of the changelog, marked as unreleased. The same version once more is its release: the section
// gets its date.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const { version } = JSON.parse(readFileSync(file("package.json"), "utf8"));
const today = new Date().toISOString().slice(0, 10);

change("CITATION.cff", /^version: (.*)$/m, () => `version: ${version}`);
change("CHANGELOG.md", /^## (\S+) \((.*)\)$/m, (section, latest, state) => {
  if (latest === version) return `## ${version} (${state === "unreleased" ? today : state})`;
  const heading = `## ${version} (unreleased)`;
  return state === "unreleased" ? heading : `${heading}\n\n${section}`;
});

/** Replaces the first place that matches. */
function change(name, pattern, replace) {
  const content = readFileSync(file(name), "utf8");
  if (!pattern.test(content)) throw new Error(`${name}: expected a line that matches ${pattern}, got none`);
  writeFileSync(file(name), content.replace(pattern, replace));
}

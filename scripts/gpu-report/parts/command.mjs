// Runs axograd doctor and axograd check as a user would.

import { spawnSync } from "node:child_process";
import { textOf as checkText } from "../../../dist/src/cli/check.js";
import { textOf as doctorText } from "../../../dist/src/cli/doctor.js";
import { axograd, CONNECTOME } from "../archive.mjs";

const SUBJECTS = {
  doctor: { args: ["doctor"], textOf: doctorText, passed: ({ adapters }) => adapters.length > 0 },
  check: {
    args: ["check", "--device", "webgpu", "--connectome", CONNECTOME],
    textOf: ({ subjects }) => checkText(subjects),
    passed: ({ passed }) => passed,
  },
};

export function run({ subject, row }) {
  const { args, textOf, passed } = SUBJECTS[subject];
  const [command, all] = axograd([...args, "--json"]);
  const { status, stdout, stderr } = spawnSync(command, all, { encoding: "utf8", maxBuffer: 2 ** 28 });
  process.stdout.write(stderr);
  const said = JSON.parse(stdout || "{}");
  // An error is also a JSON line; its message is on stderr.
  if (status !== 0 && "event" in said) throw new Error(stderr.trim());
  console.log(textOf(said));
  row({ name: subject, passed: passed(said) && status === 0, said });
}

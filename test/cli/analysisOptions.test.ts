// What the options of several analyses have in common: groups of neurons, and acts on them.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type GroupsWanted, readGroups } from "../../src/cli/analyses/groupsOption.ts";
import { readInterventions } from "../../src/cli/interventionOptions.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("options of analyses");
const SIDE = { values: ["L", "", "none has it"], valueIdx: Uint8Array.of(0, 1, 0, 1, 0) };
const EMPTY = { values: [""], valueIdx: new Uint8Array(5) };
const neurons = {
  count: 5,
  types: ["T4a", "T5a"],
  typeIdx: Uint32Array.of(1, 0, 1, 1, 0),
  columns: new Map([
    ["side", SIDE],
    ["empty", EMPTY],
  ]),
};

function grouped(wanted: Partial<GroupsWanted>): unknown[] {
  const notes: string[] = [];
  const note = (text: string): void => {
    notes.push(text);
  };
  const groups = readGroups(neurons, {
    ...{ where: "responses", option: "--by", column: undefined, among: undefined, note },
    ...wanted,
  });
  return [...groups.map(({ name, neurons: own }) => `${name}: ${own}`), ...notes];
}

test("groups by type, or by a column, among some neurons; neurons without a value are counted", () => {
  assert.equal(grouped({}), ["T4a: 1,4", "T5a: 0,2,3"]);
  assert.equal(grouped({ column: "side" }), ["L: 0,2,4", "note: 2 neurons without side left out"]);
  assert.equal(grouped({ column: "side", among: "T4a" }), ["L: 4", "note: 1 neuron without side left out"]);
});

test("an empty or unknown column, and a selector of no neurons, are named", async () => {
  await fails(() => grouped({ column: "empty" }), "argument", /a column with values, got "empty", empty .*\(--by\)/);
  await fails(() => grouped({ column: "sid" }), "argument", /did you mean "side"\?.*--by/);
  await fails(() => grouped({ among: "T4x" }), "argument", /--among/);
});

test("interventions are told; currents of files only where samples are the user's", async () => {
  const notes: string[] = [];
  const note = (text: string): void => {
    notes.push(text);
  };
  const read = (drive: string, files: boolean) =>
    readInterventions({ silence: ["T4a"], drive: [drive] }, neurons, { where: "tuning", note, files });
  const acted = await read("T5a=0.5", false);
  assert.equal(acted!.drive, [{ neurons: Uint32Array.of(0, 2, 3), current: 0.5 }]);
  assert.equal(notes, ["silenced 2 neurons: 2 T4a", "driven by 0.5: 3 neurons: 3 T5a"]);
  await fails(() => read("T5a=a.npy", false), "argument", /a number .*for all stimuli, got "a\.npy" \(--drive\)/);
  await fails(() => read("T5a=a.txt", true), "argument", /a number or FILE\.npy/);
  assert.is(await readInterventions({}, neurons, { where: "tuning", note }), null);
});

test.run();

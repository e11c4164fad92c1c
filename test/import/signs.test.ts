import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import type { NeuronColumn } from "../../src/core/selector.ts";
import { idIndexOf } from "../../src/import/idIndex.ts";
import {
  type FileSignRule,
  type Sign,
  type SignRuleName,
  signEdges,
  signRuleOf,
  signsOf,
  UNCLEAR_POLICIES,
  type UnclearPolicy,
} from "../../src/import/signs.ts";
import type { IdIndex } from "../../src/import/types.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("signs");

const neurons = (n: number): IdIndex =>
  idIndexOf(
    BigInt64Array.from({ length: n }, (_, i) => BigInt(i + 10)),
    (i) => `neuron ${i}`,
  );

function columnOf(transmitters: readonly string[]): NeuronColumn {
  const values = [...new Set(transmitters)];
  return { values, valueIdx: Uint32Array.from(transmitters, (text) => values.indexOf(text)) };
}

function signs(
  transmitters: readonly string[],
  rule: SignRuleName | FileSignRule,
  unclear: UnclearPolicy = "rule",
): number[] {
  return [...signsOf(columnOf(transmitters), neurons(transmitters.length), rule, unclear, "nt.feather").signs];
}

/** What each rule says, in the order of RULES. */
const RULES = ["shiu", "strict", "permissive"] as const;
const TABLE: Readonly<Record<string, readonly [Sign, Sign, Sign]>> = {
  acetylcholine: [1, 1, 1],
  gaba: [-1, -1, -1],
  glutamate: [-1, -1, -1],
  histamine: [1, -1, -1],
  dopamine: [1, 0, 1],
  serotonin: [1, 0, 1],
  octopamine: [1, 0, 1],
  tyramine: [1, 0, 0],
  unclear: [1, 0, 0],
};

/** Spellings of published tables. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  acetylcholine: ["ACH", "ach", "Acetylcholine", "cholinergic"],
  gaba: ["GABA", "Gaba", "GABAergic"],
  glutamate: ["GLUT", "glut", "Glu", "glutamatergic"],
  histamine: ["HIST", "his", "HA"],
  dopamine: ["DA", "dop", "Dopamine", "dopaminergic"],
  serotonin: ["SER", "5-HT", "5HT", "serotonergic"],
  octopamine: ["OCT", "OA"],
  tyramine: ["TYR", "ta", "Tyramine"],
  unclear: ["", "nan", "NA", "None", "Unknown", "unclear", " "],
};

test("every transmitter has its sign under every rule, in all spellings", () => {
  for (const [transmitter, expected] of Object.entries(TABLE)) {
    const spellings = [transmitter, ...SPELLINGS[transmitter]!];
    RULES.forEach((rule, r) => {
      assert.equal(signs(spellings, rule), new Array(spellings.length).fill(expected[r]), `${transmitter} ${rule}`);
    });
  }
});

test("the policy decides on unclear transmitters only", async () => {
  const expected: Readonly<Record<UnclearPolicy, Sign | null>> = {
    rule: null,
    excite: 1,
    inhibit: -1,
    drop: 0,
    refuse: null,
  };
  for (const policy of UNCLEAR_POLICIES) {
    for (const [r, rule] of RULES.entries()) {
      if (policy === "refuse") {
        await fails(() => signs(["ach", ""], rule, policy), "file-format", /nt\.feather: expected a clear transmitter/);
        assert.equal(signs(["ach", "gaba"], rule, policy), [1, -1]);
      } else {
        assert.equal(signs(["", "ach", "DA"], rule, policy), [
          expected[policy] ?? TABLE.unclear![r],
          1,
          TABLE.dopamine![r],
        ]);
      }
    }
  }
  assert.equal([...signsOf(null, neurons(3), "shiu", "rule", "none").signs], [1, 1, 1]);
  await fails(() => signs([""], "shiu", "guess" as UnclearPolicy), "argument", /one of rule, excite/);
});

test("an unknown transmitter is named, with the nearest one", async () => {
  await fails(
    () => signs(["ach", "acetylcolin"], "shiu"),
    "file-format",
    /"acetylcolin" \(did you mean "acetylcholine"/,
  );
  await fails(() => signs(["glycine"], "strict"), "file-format", /--signs FILE.*"glycine"/);
  // A spelling that no neuron has does no harm.
  const column = { values: ["ach", "glycine"], valueIdx: Uint8Array.of(0) };
  assert.equal([...signsOf(column, neurons(1), "shiu", "rule", "nt").signs], [1]);
});

/** Entry [post, pre] = weight. */
function matrix(n: number, ...list: readonly (readonly [post: number, pre: number, weight: number])[]): Csr {
  const [rows, cols, values] = [0, 1, 2].map((part) => list.map((entry) => entry[part]!)) as [
    number[],
    number[],
    number[],
  ];
  return csrFromCoo({ nRows: n, nCols: n, rows, cols, values: Float32Array.from(values) });
}

test("connections take the sign of their presynaptic neuron; those of sign 0 are left out and counted", () => {
  const transmitters = ["ACH", "gaba", "da", "ach", ""];
  const csr = matrix(5, [0, 1, 5], [0, 2, 7], [1, 0, 3], [2, 0, 1], [2, 2, 4], [3, 4, 2], [4, 3, 6]);
  const strict = signEdges(csr, signsOf(columnOf(transmitters), neurons(5), "strict", "rule", "nt"));
  assert.equal([...strict.csr.rowPtr], [0, 1, 2, 3, 3, 4]);
  assert.equal([...strict.csr.colIdx], [1, 0, 0, 3]);
  assert.equal(strict.csr.values, Float32Array.of(-5, 3, 1, 6));
  assert.is(strict.csr.nnz, 4);
  assert.is(strict.droppedConnections, 3);
  assert.is(strict.droppedSynapses, 13);
  assert.equal(strict.table, [
    { transmitter: "acetylcholine", sign: 1, neurons: 2, connections: 3, synapses: 10 },
    { transmitter: "GABA", sign: -1, neurons: 1, connections: 1, synapses: 5 },
    { transmitter: "dopamine", sign: 0, neurons: 1, connections: 2, synapses: 11 },
    { transmitter: "unclear", sign: 0, neurons: 1, connections: 1, synapses: 2 },
  ]);
  const shiu = signEdges(csr, signsOf(columnOf(transmitters), neurons(5), "shiu", "rule", "nt"));
  assert.equal(shiu.csr.values, Float32Array.of(-5, 7, 3, 1, 4, 2, 6));
  assert.is(shiu.droppedConnections, 0);
  // The matrix that came stays as it was.
  assert.is(csr.values[0], 5);
  const none = signEdges(csr, null);
  assert.is(none.csr, csr);
  assert.is(none.signs, null);
});

async function inFile<T>(content: string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "axograd-signs-"));
  try {
    const file = join(folder, "signs.csv");
    await writeFile(file, content);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const ruleIn = (content: string): Promise<FileSignRule> =>
  inFile(content, async (file) => (await signRuleOf(file)) as FileSignRule);

test("a rule of a file gives signs to transmitters, its own included", async () => {
  const rule = await ruleIn("transmitter,sign\nach,+\nGABA,-1\nglycine,inhibitory\nunclear,0\n");
  assert.equal(signs(["acetylcholine", "gaba", "Glycine", ""], rule), [1, -1, -1, 0]);
  assert.equal(signs([""], rule, "excite"), [1]);
  await fails(() => signs(["glycin"], rule), "file-format", /signs\.csv names.*did you mean "glycine"/);
  await fails(() => signs(["dopamine"], rule), "file-format", /"dopamine"/);
});

test("a rule of a file gives signs to neurons by id; the others are unclear", async () => {
  const rule = await ruleIn("id,sign\n12,-\n10,1\n");
  const column = columnOf(["ach", "ach", "ach"]);
  const of = (unclear: UnclearPolicy) => signsOf(column, neurons(3), rule, unclear, "nt");
  assert.equal([...of("rule").signs], [1, 0, -1]);
  assert.equal([...of("excite").signs], [1, 1, -1]);
  await fails(() => of("refuse"), "file-format", /clear transmitter/);
  const table = signEdges(matrix(3, [0, 1, 2], [1, 0, 1], [0, 2, 1]), of("inhibit")).table;
  assert.equal(
    table.map(({ transmitter, sign, neurons: count }) => [transmitter, sign, count]),
    [
      ["acetylcholine", 1, 1],
      ["acetylcholine", -1, 2],
    ],
  );
  const other = await ruleIn("id,sign\n12,-\n99,1\n");
  assert.is(signsOf(column, neurons(3), other, "rule", "nt").unusedIds, 1);
  const foreign = await ruleIn("id,sign\n98,-\n99,1\n");
  await fails(
    () => signsOf(column, neurons(3), foreign, "rule", "nt"),
    "file-format",
    /signs\.csv: expected ids of the neurons, got "98"/,
  );
  const twice = await ruleIn("id,sign\n12,-\n12.0,1\n");
  await fails(
    () => signsOf(column, neurons(3), twice, "rule", "nt"),
    "file-format",
    /signs\.csv:3: expected every neuron once/,
  );
});

test("files that are no rule are refused, with their place", async () => {
  await fails(() => ruleIn("transmitter,sign\nach,+\nach,-\n"), "file-format", /:3.*every transmitter once/);
  await fails(() => ruleIn("transmitter,sign\nach,+\nACH,-\n"), "file-format", /:3.*every transmitter once/);
  await fails(() => ruleIn("transmitter,sign\nach,2\n"), "file-format", /:2.*a sign.*"2"/);
  await fails(() => ruleIn("name,sign\nach,1\n"), "file-format", /columns transmitter,sign or id,sign/);
  await fails(() => ruleIn("transmitter,id,sign\nach,1,1\n"), "file-format", /columns transmitter,sign or id,sign/);
  await fails(() => ruleIn("transmitter,weight\nach,1\n"), "file-format", /sign/);
  await fails(() => ruleIn("transmitter,sign\n"), "file-format", /no row/);
  await fails(() => signRuleOf("shui"), "file-missing", /none \(did you mean "shiu"\?\), or a CSV file/);
  assert.is(await signRuleOf("none"), "none");
  assert.is(await signRuleOf("strict"), "strict");
});

test.run();

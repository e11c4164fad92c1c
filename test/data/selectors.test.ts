// Selectors: against sets computed neuron by neuron, and what the errors say.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError, EngineError, FileFormatError, ShapeError } from "../../src/core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { parseSelector, selectorWord } from "../../src/core/selector.ts";
import { countTypes, type SelectableNeurons, selectNeurons } from "../../src/data/selectors.ts";
import { writeIdList } from "../../src/io/idList.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";

interface Context {
  folder: string;
}

const test = suite<Context>("selectors of neurons");

test.before(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), "axograd-selectors-"));
});

test.after(async ({ folder }) => {
  await rm(folder, { recursive: true });
});

const TYPES = ["T4a", "T4b", "T5a", "Mi1", "Tm5 (Y)", "all", "7", 'a"b', "KCa'b'"];
const SIDES = ["left", "right", ""];
const ROLES = ["input", "hidden", "output"] as const;

/** A neuron as the properties see it. */
interface Neuron {
  readonly index: number;
  readonly id: string;
  readonly type: string;
  readonly side: string;
  readonly role: (typeof ROLES)[number];
}

function tableOf(neurons: readonly Neuron[]): SelectableNeurons {
  const column = (values: readonly string[], of: (n: Neuron) => string) => ({
    values,
    valueIdx: Uint32Array.from(neurons, (n) => values.indexOf(of(n))),
  });
  return {
    count: neurons.length,
    types: TYPES,
    typeIdx: column(TYPES, (n) => n.type).valueIdx,
    role: neurons.map((n) => n.role),
    ids: neurons.map((n) => n.id),
    columns: new Map([["side", column(SIDES, (n) => n.side)]]),
  };
}

function randomNeurons(stream: RandomStream): readonly Neuron[] {
  const one = <T>(list: readonly T[]): T => list[stream.below(list.length)]!;
  return Array.from({ length: 1 + stream.below(40) }, (_, index) => ({
    index,
    id: `${720575940600000000n + BigInt(index)}`,
    type: one(TYPES),
    side: one(SIDES),
    role: one(ROLES),
  }));
}

/** A text and what it means. */
interface Case {
  readonly text: string;
  readonly has: (n: Neuron) => boolean;
}

const FIXED: readonly Neuron[] = [
  { index: 0, id: "11", type: "T4a", side: "left", role: "input" },
  { index: 1, id: "12", type: "T4b", side: "right", role: "hidden" },
  { index: 2, id: "13", type: "T5a", side: "left", role: "output" },
  { index: 3, id: "21", type: "Tm5 (Y)", side: "", role: "output" },
];

function select(text: string, neurons: readonly Neuron[] = FIXED): number[] {
  return [...selectNeurons(tableOf(neurons), text)];
}

/** A random selector whose elements all occur among the neurons. */
function randomCase(stream: RandomStream, neurons: readonly Neuron[], depth: number): Case {
  const one = <T>(list: readonly T[]): T => list[stream.below(list.length)]!;
  const space = () => one(["", " ", "  "]);
  const part = () => randomCase(stream, neurons, depth - 1);
  const someone = () => one(neurons);
  const kind = depth === 0 ? stream.below(6) : stream.below(10);
  switch (kind) {
    case 0: {
      const types = Array.from({ length: 1 + stream.below(3) }, () => someone().type);
      return { text: `type:${types.map(selectorWord).join(`${space()},`)}`, has: (n) => types.includes(n.type) };
    }
    case 1: {
      const sides = Array.from({ length: 1 + stream.below(2) }, () => someone().side);
      return { text: `side:${sides.map(selectorWord).join(",")}`, has: (n) => sides.includes(n.side) };
    }
    case 2: {
      const [a, b] = [someone().index, someone().index].sort((p, q) => p - q) as [number, number];
      return { text: `${one(["", "index:"])}${a}-${b}`, has: (n) => n.index >= a && n.index <= b };
    }
    case 3: {
      const { id } = someone();
      return { text: `id:${id}`, has: (n) => n.id === id };
    }
    case 4: {
      const { role } = someone();
      return { text: one([role, `role:${role}`]), has: (n) => n.role === role };
    }
    case 5: {
      const { type } = someone();
      const head = type.slice(0, 1 + stream.below(type.length));
      const tail = type.slice(stream.below(type.length));
      // Head and tail may not overlap in a match.
      const has = (n: Neuron) =>
        n.type.length >= head.length + tail.length && n.type.startsWith(head) && n.type.endsWith(tail);
      if (!neurons.some(has)) return { text: "*", has: () => true };
      return { text: `type:${selectorWord(head)}*${selectorWord(tail)}`, has };
    }
    case 6: {
      const of = part();
      return { text: `!(${of.text})`, has: (n) => !of.has(n) };
    }
    case 7: {
      const [a, b] = [part(), part()];
      return { text: `(${a.text})${space()}&${space()}(${b.text})`, has: (n) => a.has(n) && b.has(n) };
    }
    case 8: {
      const [a, b, c] = [part(), part(), part()];
      // Without parentheses: & binds tighter than |.
      const text = `(${a.text}) | (${b.text}) & (${c.text})`;
      return { text: `(${text})`, has: (n) => a.has(n) || (b.has(n) && c.has(n)) };
    }
    default: {
      const [a, b] = [part(), part()];
      return { text: `(!(${a.text})&(${b.text}))`, has: (n) => !a.has(n) && b.has(n) };
    }
  }
}

const SEED = keyOfSeed(Number(process.env.AXOGRAD_TEST_SEED ?? 7));

test("random selectors give the neurons that a test of each neuron gives", () => {
  let empty = 0;
  for (let k = 0; k < 2000; k++) {
    const stream = new RandomStream(deriveKey(SEED, k));
    const neurons = randomNeurons(stream);
    const { text, has } = randomCase(stream, neurons, 3);
    const expected = neurons.filter(has).map((n) => n.index);
    if (expected.length === 0) {
      empty++;
      assert.throws(() => select(text, neurons), /at least one neuron, got none: /, `${k}: ${text}`);
    } else assert.equal(select(text, neurons), expected, `${k}: ${text}`);
  }
  assert.ok(empty > 20 && empty < 1000, `empty selections are among the cases: ${empty}`);
});

test("each form of an element, and what binds tighter", () => {
  assert.equal(select("all"), [0, 1, 2, 3]);
  assert.equal(select("*"), [0, 1, 2, 3]);
  assert.equal(select("type:T4*"), [0, 1]);
  assert.equal(select("T4a,T5a"), [0, 2]);
  assert.equal(select("output"), [2, 3]);
  assert.equal(select("2-3,0"), [0, 2, 3]);
  assert.equal(select('type:"Tm5 (Y)"'), [3]);
  assert.equal(select('"Tm5 ("*'), [3]);
  assert.equal(select('side:""'), [3]);
  assert.equal(select("id:1*"), [0, 1, 2]);
  // A comma continues the list of its column, until another one is named.
  assert.equal(select("type:T4a,T4b,role:output"), [0, 1, 2, 3]);
  assert.equal(select("T4a,T5a & side:left"), [0, 2]);
  assert.equal(select("!T4a,T4b"), [2, 3]);
  assert.equal(select("!T4a & side:left | input"), [0, 2]);
  assert.equal(select("!!T4a"), [0]);
  assert.equal(select(" ( T4a | T4b ) & ! side : right "), [0]);
});

test("without ids, an id is an index; a column id of the table counts as ids", () => {
  assert.equal([...selectNeurons({ count: 4 }, "id:3,0")], [0, 3]);
  assert.throws(() => selectNeurons({ count: 4 }, "id:4"), /an id, which is an index here, from 0 to 3/);
  const id = { values: ["x", "y"], valueIdx: [1, 0] };
  assert.equal([...selectNeurons({ count: 2, columns: new Map([["id", id]]) }, "id:x")], [1]);
});

test("errors say where in the text, and what is nearest or possible", () => {
  const says = (text: string, message: RegExp): void => {
    assert.throws(
      () => select(text),
      (e: Error) => e instanceof ArgumentError && message.test(e.message),
      `${text}: ${message}`,
    );
  };
  says(
    "input | type:T4x",
    /a type that a neuron has \(nearest "T4a"\), got "type:T4x" at character 9 of "input \| type:T4x"/,
  );
  says(
    "sides:left",
    /"side"\? a column that the neurons have \("index", "id", "side", "type", "role"\), got "sides" at character 1/,
  );
  says("side:middle", /a side that a neuron has \(.*"left", "right", ""\)/);
  // A type of the table that no neuron has.
  says("Mi1", /a type that a neuron has/);
  says("2-7", /an index or a range of indices from 0 to 3, got "2-7" at character 1/);
  says("3-2", /a range of indices from 0 to 3/);
  says("index:*", /an index or a range of indices/);
  says("T4a &", /a selector, such as all, .* at character 6 of "T4a &", got the end/);
  says("", /a selector, .* got the end/);
  says("(T4a", /an operator \(& \| ,\) or the "\)" of the "\(" at character 1/);
  says("T4a T4b", /an operator \(& \| ,\) or the end at character 5 of "T4a T4b", got "T4b"/);
  says("T4a)", /or the end at character 4/);
  says('type:"T4', /a quote at its end at character 6/);
  says("type:", /a value of "type" \("" for none\)/);
  says("type:a:b", /an operator .* at character 7/);
  says("T4a & T5a", /at least one neuron, got none: no neuron is in both "T4a" \(1 neuron\) and "T5a" \(1 neuron\)/);
  says("side:left & T4a,T5a & role:hidden", /both "side:left & T4a,T5a" \(2 neurons\) and "role:hidden" \(1 neuron\)/);
  says("!all", /none: all 4 neurons are in "all"/);
  says("all & !all", /all 4 neurons are in "all"/);
  says("(T4a & T5a) | !all", /no neuron is in both "T4a"/);
  says(`${"(".repeat(101)}all${")".repeat(101)}`, /at most 100 parentheses/);
  says(new Array(1001).fill("all").join("|"), /at most 1000 terms/);
  says(new Array(1001).fill("T4*").join(","), /at most 1000 words with wildcards/);
  says("a".repeat(70_000), /at most 65536 characters/);
});

test("a property of another length is refused, and so is a role without roles", () => {
  assert.throws(
    () => selectNeurons({ count: 2, role: ["input"] }, "all"),
    (e: Error) => e instanceof ShapeError,
  );
  assert.throws(
    () => selectNeurons({ count: 2 }, "output"),
    /a column that the neurons have \("index", "id"\), got "role"/,
  );
  assert.throws(
    () => selectNeurons({ count: 2 }, "T4a"),
    /indices, or a value of a column that the neurons have \("index", "id"\), got "T4a"/,
  );
  assert.throws(() => selectNeurons({ count: 2 }, "outputs"), /expected "output"\? all, a role, indices/);
  assert.throws(() => select("outputs"), /nearest "output"/);
});

test("lists of ids in files, written and read back", async ({ folder }) => {
  const file = join(folder, "my ids.txt");
  await writeIdList(file, ["13", "11"]);
  assert.equal(select(`@"${file}"`), [0, 2]);
  assert.equal(select(`side:left & !@"${file}" | @"${file}",T4b`), [0, 1, 2]);
  await writeFile(file, "\ufeff11\r\n\r\n12\r\n");
  assert.equal(select(`@"${file}"`), [0, 1], "with a byte order mark and line ends of Windows");
  await writeFile(file, "11\n99\n");
  assert.throws(() => select(`@"${file}"`), /my ids\.txt:2: expected the id of a neuron of the network, got "99"/);
  assert.throws(() => selectNeurons({ count: 3 }, `@"${file}"`), /my ids\.txt:1: expected an id from 0 to 2/);
  await writeFile(file, "\n");
  for (const path of [file, folder, join(folder, "missing"), "/dev/null"]) {
    assert.throws(
      () => select(`@"${path}"`),
      (e: Error) => e instanceof FileFormatError,
      path,
    );
  }
});

test("every column of a table's file can be selected by, joined by id or not", async ({ folder }) => {
  const file = join(folder, "table.csv");
  await writeFile(file, "id,cell_type,side,note,note\n30,A,left,x,y\n10,B,right,x,y\n20,A,right,x,y\n");
  const ids = ["10", "20", "30"];
  const joined = { ...(await readNeuronTable(file, { ids })), ids };
  assert.equal([...selectNeurons(joined, "side:right")], [0, 1]);
  assert.equal([...selectNeurons(joined, "type:A & !id:20")], [2]);
  assert.throws(() => selectNeurons(joined, "note:x"), /a column that the neurons have/);
  assert.equal(countTypes(joined, [0, 2]), [
    { type: "A", count: 1 },
    { type: "B", count: 1 },
  ]);
  await writeFile(file, "cell_type,side\nA,left\nB,right\n");
  assert.equal([...selectNeurons(await readNeuronTable(file), "side:left")], [0]);
});

test("any text gives neurons or a typed error, soon", () => {
  const neurons = tableOf(FIXED);
  const pieces = [
    ...'&|,!():@"* -0123',
    "type",
    "T4a",
    "all",
    "side:left",
    "0-3",
    "index:",
    "id:11",
    "\n",
    "\0",
    "é",
    "😀",
    "\ud800",
  ];
  for (let k = 0; k < 20_000; k++) {
    const stream = new RandomStream(deriveKey(deriveKey(SEED, "fuzz"), k));
    const text = Array.from({ length: stream.below(24) }, () => pieces[stream.below(pieces.length)]).join("");
    try {
      const chosen = selectNeurons(neurons, text);
      assert.ok(chosen.length > 0 && chosen.every((i, n) => i < FIXED.length && (n === 0 || i > chosen[n - 1]!)), text);
    } catch (error) {
      if (!(error instanceof EngineError)) throw new Error(`${JSON.stringify(text)} gave ${error}`, { cause: error });
    }
  }
  for (const text of ["!", "(", '"', "a* | ", "all,", "all|", "all&", "!("]) {
    const long = text.repeat(Math.floor(65_000 / text.length));
    assert.throws(
      () => selectNeurons(neurons, long),
      (e: unknown) => e instanceof EngineError,
      text,
    );
  }
});

test("a word for any text is read back as that text", () => {
  for (const text of [...TYPES, "", "*", "a b", "x:y", "\n"]) {
    const { root } = parseSelector(`type:${selectorWord(text)}`, { where: "test", argument: "text" });
    assert.ok(root.kind === "list" && root.elements[0]!.kind === "value");
    assert.equal((root as { elements: readonly { pattern: readonly string[] }[] }).elements[0]!.pattern, [text]);
  }
});

test.run();

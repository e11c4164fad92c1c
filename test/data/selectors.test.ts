// Selectors: against sets computed neuron by neuron, and what the errors say.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, EngineError, FileFormatError, ShapeError } from "../../src/core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { parseSelector, selectorWord } from "../../src/core/selector.ts";
import { candidatesOf, countTypes, type SelectableNeurons, selectNeurons } from "../../src/data/selectors.ts";
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

/** A connection between two neurons, by index. */
type Edge = readonly [pre: number, post: number];

function tableOf(neurons: readonly Neuron[], edges: readonly Edge[] | null = null): SelectableNeurons {
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
    csr: edges && csrOf(neurons.length, edges),
  };
}

/** Distinct edges as a matrix [post, pre]. */
function csrOf(count: number, edges: readonly Edge[]) {
  const [rows, cols] = [edges.map(([, post]) => post), edges.map(([pre]) => pre)];
  return csrFromCoo({ nRows: count, nCols: count, rows, cols, values: new Float32Array(edges.length).fill(1) });
}

function randomEdges(stream: RandomStream, count: number): readonly Edge[] {
  return Array.from({ length: stream.below(2 * count) }, () => [stream.below(count), stream.below(count)] as const);
}

/** Neurons to which it takes at most `steps` edges, edge by edge. */
function downstreamOf(seeds: ReadonlySet<number>, edges: readonly Edge[], steps: number): Set<number> {
  let reached = new Set(seeds);
  for (let k = 0; k < steps; k++) {
    reached = new Set([...reached, ...edges.flatMap(([pre, post]) => (reached.has(pre) ? [post] : []))]);
  }
  return reached;
}

const reversed = (edges: readonly Edge[]): readonly Edge[] => edges.map(([pre, post]) => [post, pre]);

/** The largest set of neurons of which each reaches each other one, whatever the directions are or not; of equal ones the first. */
function largestOf(count: number, edges: readonly Edge[], kind: "weak" | "strong"): Set<number> {
  const along = kind === "weak" ? [...edges, ...reversed(edges)] : edges;
  const reach = Array.from({ length: count }, (_, i) => downstreamOf(new Set([i]), along, count));
  const together = reach.map((set, i) => new Set([...set].filter((j) => reach[j]!.has(i))));
  return together.reduce((best, set) => (set.size > best.size ? set : best));
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

function select(text: string, neurons: readonly Neuron[] = FIXED, edges: readonly Edge[] | null = null): number[] {
  return [...selectNeurons(tableOf(neurons, edges), text)];
}

/** A random selector whose elements all occur among the neurons. */
function randomCase(stream: RandomStream, neurons: readonly Neuron[], edges: readonly Edge[], depth: number): Case {
  const one = <T>(list: readonly T[]): T => list[stream.below(list.length)]!;
  const space = () => one(["", " ", "  "]);
  const part = () => randomCase(stream, neurons, edges, depth - 1);
  const someone = () => one(neurons);
  const is = () => `${space()}${one([":", "="])}${space()}`;
  const kind = depth === 0 ? stream.below(9) : stream.below(14);
  switch (kind) {
    case 0: {
      const types = Array.from({ length: 1 + stream.below(3) }, () => someone().type);
      // Quoted: "all" and "7" are no bare words.
      const words = types.map((type) => (type === "all" || type === "7" ? `"${type}"` : selectorWord(type)));
      const separator = () => `${space()}${one([",", "|"])}${space()}`;
      const list = words.reduce((text, word) => `${text}${separator()}${word}`);
      return { text: `(type${is()}${list})`, has: (n) => types.includes(n.type) };
    }
    case 1: {
      const sides = Array.from({ length: 1 + stream.below(2) }, () => someone().side);
      return { text: `side${is()}${sides.map(selectorWord).join(",")}`, has: (n) => sides.includes(n.side) };
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
      const sides = Array.from({ length: 1 + stream.below(2) }, () => someone().side);
      const text = `side${space()}!=${space()}${sides.map(selectorWord).join(`${space()}|${space()}`)}`;
      return { text: `(${text})`, has: (n) => !sides.includes(n.side) };
    }
    case 7:
      return one<Case>([
        { text: `side${is()}*`, has: (n) => n.side !== "" },
        { text: `side${is()}""`, has: (n) => n.side === "" },
        { text: 'side!=""', has: (n) => n.side !== "" },
      ]);
    case 8: {
      const kind = one(["weak", "strong"] as const);
      const chosen = largestOf(neurons.length, edges, kind);
      return { text: `largest(${space()}${kind})`, has: (n) => chosen.has(n.index) };
    }
    case 9: {
      const of = part();
      return { text: `!(${of.text})`, has: (n) => !of.has(n) };
    }
    case 10: {
      const of = part();
      const steps = stream.below(4);
      const seeds = new Set(neurons.filter(of.has).map((n) => n.index));
      const downstream = downstreamOf(seeds, edges, steps);
      const upstream = downstreamOf(seeds, reversed(edges), steps);
      return one<Case>([
        { text: `downstream(${steps}, ${of.text})`, has: (n) => downstream.has(n.index) },
        { text: `upstream${space()}(${steps},${of.text})`, has: (n) => upstream.has(n.index) },
        { text: `within(${steps}, ${of.text})`, has: (n) => downstream.has(n.index) || upstream.has(n.index) },
      ]);
    }
    case 11: {
      const [a, b] = [part(), part()];
      return { text: `(${a.text})${space()}&${space()}(${b.text})`, has: (n) => a.has(n) && b.has(n) };
    }
    case 12: {
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
    const edges = randomEdges(stream, neurons.length);
    const { text, has } = randomCase(stream, neurons, edges, 3);
    const expected = neurons.filter(has).map((n) => n.index);
    if (expected.length === 0) {
      empty++;
      assert.throws(() => select(text, neurons, edges), /at least one neuron, got none: /, `${k}: ${text}`);
      continue;
    }
    assert.equal(select(text, neurons, edges), expected, `${k}: ${text}`);
    // Without the connections: a set that contains it, or it itself.
    const { indices, isExact } = candidatesOf(tableOf(neurons), text);
    assert.is(isExact, !/largest|stream|within/.test(text), text);
    const possible = [...indices];
    if (isExact) assert.equal(possible, expected, `${k}: ${text}`);
    else {
      assert.ok(
        expected.every((i) => possible.includes(i)),
        `${k}: ${text}`,
      );
      assert.throws(() => select(text, neurons), /a selector without connections, which are not known here/);
    }
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

test("behind |, a bare word is a value of the column before it; without one, | is a union", () => {
  assert.equal(select("type=T4a|T5a"), [0, 2]);
  assert.equal(select("type = T4a | T5*, T4b"), [0, 1, 2]);
  assert.equal(select('side=left|""'), [0, 2, 3]);
  assert.equal(select("id=11 | side=right"), [0, 1]);
  assert.equal(select("side!=left|right"), [3]);
  assert.equal(select("side!=left,right"), [3]);
  assert.equal(select("!side!=left"), [0, 2]);
  assert.equal(select("role=input|output"), [0, 2, 3]);
  assert.equal(select("index=0|2-3"), [0, 2, 3]);
  // Without a named column, as ever: T4b is a type, 3 an index, input a role.
  assert.equal(select("T4a | T4b"), [0, 1]);
  assert.equal(select("output | T4b"), [1, 2, 3]);
  assert.equal(select("side=left | 1"), [0, 1, 2]);
  assert.equal(select("type=T4b | input"), [0, 1]);
  assert.equal(select('side=right | (T4a) | "Tm5 (Y)"'), [0, 1, 3]);
  // Beside & and !, it takes parentheses.
  assert.equal(select("(side=left|right) & (type=T4a|T5a)"), [0, 2]);
  for (const text of ["side=left & type=T4a|T5a", "type=T4a|T5a & side=left", "!type=T4a|T5a"]) {
    assert.throws(
      () => select(text),
      /expected parentheses beside & and !, as in "\(type=T4a\|T5a\)", or "type=T4a \| type=T5a" at character \d+ .*, got "type=T4a\|T5a"/,
      text,
    );
  }
  assert.throws(() => select("side!=left|right & input"), /as in "\(side!=left\|right\)"/);
  assert.throws(() => select("role=input|output & side=left"), /parentheses/);
});

test("a bare word that is no value of the column before it, or a number that may be one, is refused with both readings", () => {
  assert.throws(
    () => select("side=left | T4a"),
    /a side that a neuron has \("left", "right", ""\), or "type=T4a" for a type, or another column, got "T4a" at character 13/,
  );
  const column = (values: readonly string[]) => ({ values, valueIdx: [0, 1, 2] });
  const numbered = { count: 3, columns: new Map([["level", column(["1", "2", "all"])]]) };
  assert.equal([...selectNeurons(numbered, "level=1,2")], [0, 1]);
  for (const [text, message] of [
    ["level=1|2", /expected "level=2" for a value of "level", or "\(2\)" for an index, got "2"/],
    ["level=1|0", /expected "level=0" for a value/],
    ["level=1|all", /"level=all" for a value of "level", or "\(all\)" for all neurons/],
  ] as const) {
    assert.throws(() => selectNeurons(numbered, text), message, text);
  }
  assert.equal([...selectNeurons(numbered, "level=1|(2)")], [0, 2]);
  assert.equal([...selectNeurons({ count: 3 }, "id=1|2")], [1, 2], "where ids are indices, both readings agree");
});

test("presence: any value, or none", () => {
  assert.equal(select("side=*"), [0, 1, 2]);
  assert.equal(select('side=""'), [3]);
  assert.equal(select('side!=""'), [0, 1, 2]);
  assert.equal(select("side!=*"), [3]);
  // No misspelling: every neuron has a type.
  assert.equal(select('type!=""'), [0, 1, 2, 3]);
  assert.throws(() => select('type=""'), /none: "type=\\"\\"" is empty/);
  assert.throws(() => select("type!=*"), /none: all 4 neurons are in "type!=\*"/);
});

/** 0 → 1 → 2, 3 → 1; 4 and 5 in a cycle. */
const WIRED: SelectableNeurons = {
  count: 6,
  csr: csrOf(6, [
    [0, 1],
    [1, 2],
    [3, 1],
    [4, 5],
    [5, 4],
  ]),
};

test("terms about connections: along them, against them, components", () => {
  const wired = (text: string): number[] => [...selectNeurons(WIRED, text)];
  assert.equal(wired("downstream(0, 0)"), [0]);
  assert.equal(wired("downstream(1, 0)"), [0, 1]);
  assert.equal(wired("downstream(9, 0)"), [0, 1, 2]);
  assert.equal(wired("upstream(1, 1)"), [0, 1, 3]);
  // No path leads from 0 to 3 or back, though both drive 1.
  assert.equal(wired("within(2, 0)"), [0, 1, 2]);
  assert.equal(wired("within(1, 0 | 4) & !0"), [1, 4, 5]);
  assert.equal(wired("!downstream(2, upstream(1, 2))"), [0, 3, 4, 5]);
  assert.equal(wired("largest(weak)"), [0, 1, 2, 3]);
  assert.equal(wired("largest(strong)"), [4, 5]);
  const candidates = (text: string): number[] => [...candidatesOf(WIRED, text).indices];
  assert.equal(candidates("1-3 & within(1, 0)"), [1, 2, 3]);
  assert.equal(candidates("1-3 & !within(1, 0)"), [1, 2, 3]);
  assert.equal(candidates("1-3 & !!within(1, 0) | 5"), [1, 2, 3, 5]);
  assert.equal(candidates("!(0-1 | largest(weak))"), [2, 3, 4, 5]);
  const says = (text: string, message: RegExp): void => {
    assert.throws(
      () => wired(text),
      (e: Error) => e instanceof ArgumentError && message.test(e.message),
      `${text}: ${message}`,
    );
  };
  says("widthin(2, 0)", /"within"\? within, upstream, downstream, largest, or an operator/);
  says("within(x, 0)", /a number of connections and a selector, as in within\(2, type=DNa02\) at character 8/);
  says("within(2)", /a comma and a selector/);
  says("within(2, 0", /the "\)" to the "\(" of character 7, at character 12 /);
  says("largest(big)", /weak or strong at character 9/);
  says("within(1, 0 & 1)", /none: no neuron is in both "0" \(1 neuron\) and "1"/);
  says(new Array(33).fill("largest(weak)").join("|"), /at most 32 terms about connections/);
  assert.throws(() => candidatesOf(WIRED, "0 & within(1, 0 & type=x)"), /a column that the neurons have/);
  assert.throws(
    () => selectNeurons({ count: 5, csr: WIRED.csr! }, "all"),
    (e: Error) => e instanceof ShapeError && /5 × 5, a row and a column per neuron, got 6 × 6/.test(e.message),
  );
});

test("eleven thousand types and 170,000 ids: near names, soon", () => {
  const count = 170_000;
  const types = Array.from({ length: 11_751 }, (_, t) => `CB${t}`);
  const typeIdx = Uint32Array.from({ length: count }, (_, i) => i % types.length);
  const ids = Array.from({ length: count }, (_, i) => `${720575940600000000n + 7919n * BigInt(i)}`);
  const neurons = { count, types, typeIdx, ids };
  assert.is(selectNeurons(neurons, "type=CB1175*").length, 15 + 14);
  assert.throws(() => selectNeurons(neurons, "type=CB11_50"), /nearest "CB1150"/);
  assert.throws(() => selectNeurons(neurons, `id=${ids[99_999]!.replace("720", "721")}`), new RegExp(ids[99_999]!));
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
  says("(T4a", /an operator \(& \| ,\) or the "\)" to the "\(" of character 1, at/);
  says("T4a T4b", /an operator \(& \| ,\) or the end at character 5 of "T4a T4b", got "T4b"/);
  says("T4a)", /or the end at character 4/);
  says('type:"T4', /a quote at its end at character 6/);
  says("type:", /a value of "type" \("" for none, \* for any\)/);
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
  assert.equal(select(`id!=@"${file}"`), [1, 3]);
  assert.equal(select(`id=@"${file}",12`), [0, 1, 2]);
  await writeFile(file, "T4a\nTm5 (Y)\n");
  assert.equal(select(`type=@"${file}"`), [0, 3]);
  assert.equal(select(`type=@"${file}"|T5a`), [0, 2, 3]);
  assert.throws(() => select(`side=@"${file}"`), /my ids\.txt:1: expected a side that a neuron has/);
  await writeFile(file, "0\n2-3\n");
  assert.equal(select(`index=@"${file}"`), [0, 2, 3]);
  await writeFile(file, "\ufeff11\r\n\r\n12\r\n");
  assert.equal(select(`@"${file}"`), [0, 1], "with a byte order mark and line ends of Windows");
  await writeFile(file, "11\n99\n");
  assert.throws(() => select(`id=@"${file}"`), /my ids\.txt:2: expected the id of a neuron of the network, got "99"/);
  assert.throws(() => selectNeurons({ count: 3 }, `@"${file}"`), /my ids\.txt:1: expected an id from 0 to 2/);
  await writeFile(file, "\n");
  for (const path of [file, folder, join(folder, "missing"), "/dev/null"]) {
    assert.throws(
      () => select(`@"${path}"`),
      (e: Error) =>
        e instanceof FileFormatError && /expected lines with one id each[, ]/.test(e.message) && !/,,/.test(e.message),
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
  const neurons = tableOf(FIXED, [[0, 1]]);
  const pieces = [
    ...'&|,!():@"* -0123',
    "type",
    "T4a",
    "all",
    "side:left",
    "side!=left",
    "within(1,",
    "largest(weak)",
    "=",
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

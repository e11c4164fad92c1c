import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type GraphmlOptions, readGraphml } from "../../src/io/graphml.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("graphml");
const dir = tempDir();
const file = join(dir, "net.graphml");

const KEYS =
  '<key id="d0" for="edge" attr.name="weight" attr.type="double"/>' +
  '<key id="d1" for="node" attr.name="name" attr.type="string"/>' +
  '<key id="d2" for="edge" attr.name="note" attr.type="string"/>';

const node = (id: string, data = ""): string => `<node id="${id}">${data}</node>\n`;
const edge = (source: string, target: string, weight: string | null, extra = ""): string =>
  `<edge source="${source}" target="${target}"${extra}>${weight === null ? "" : `<data key="d0">${weight}</data>`}</edge>\n`;

function graph(
  content: string,
  { keys = KEYS, head = '<?xml version="1.0" encoding="UTF-8"?>', attributes = "" } = {},
): string {
  const names = 'xmlns="http://graphml.graphdrawing.org/xmlns"';
  return `${head}\n<graphml ${names}>\n${keys}\n<graph edgedefault="directed" ${attributes}>\n${content}</graph></graphml>\n`;
}

/** Edges as "pre>post:weight", by post, and the names of all neurons. */
async function read(text: string | Uint8Array, options: GraphmlOptions = {}): Promise<string> {
  await writeFile(file, text);
  const { csr, labels } = await readGraphml(file, options);
  const name = (i: number): string => labels?.[i] ?? String(i);
  const rowOf = (k: number): number => csr.rowPtr.findLastIndex((start) => start <= k);
  const edges = Array.from(csr.values, (w, k) => `${name(csr.colIdx[k]!)}>${name(rowOf(k))}:${w}`);
  return `${edges.join(" ")} | ${labels?.join(",") ?? csr.nRows}`;
}

const refuses = (text: string | Uint8Array, ...patterns: readonly RegExp[]): Promise<void> =>
  fails(() => read(text), "file-format", /net\.graphml/, ...patterns);

test("nodes in the order of the file, edges summed, other data ignored", async () => {
  const text = graph(
    node("n10") +
      node("n2", '<data key="d1">AVAL</data>') +
      node("alone") +
      edge("n10", "n2", " 1.5 ") +
      edge("n2", "n10", "-2e0", ' id="e1"') +
      edge("n10", "n2", "2").replace("</edge>", '<data key="d2">x &lt; y<!-- no --></data></edge>'),
  );
  assert.is(await read(text), "n2>n10:-2 n10>n2:3.5 | n10,n2,alone");
  assert.is(await read(text, { order: "sorted" }), "n2>n10:-2 n10>n2:3.5 | alone,n10,n2");
  assert.is(await read(text, { weight: null }), "n2>n10:1 n10>n2:2 | n10,n2,alone");
  // UTF-16 as any text, prefixes as XML allows them.
  assert.is(await read(Buffer.from(`\ufeff${text.replace("UTF-8", "UTF-16")}`, "utf16le")), await read(text));
  const prefixed = text.replaceAll(/<(\/?)(graphml|graph|node|edge|data|key)\b/g, "<$1g:$2");
  assert.is(await read(prefixed.replace("xmlns=", "xmlns:g=")), await read(text));
});

test("ids 0, 1, 2, … are positions, in whatever order edges come", async () => {
  const text = graph(edge("1", "0", "4") + node("0") + edge("2", "1", "5") + node("1") + node("2"));
  assert.is(await read(text), "1>0:4 2>1:5 | 3");
  // Others are names, sorted as numbers where that is asked for.
  const names = graph(node("10") + node("9") + edge("9", "10", "1"));
  assert.is(await read(names), "9>10:1 | 10,9");
  assert.is(await read(names, { order: "sorted" }), "9>10:1 | 9,10");
});

test("neurons are named by an attribute of the nodes where that is asked for", async () => {
  const named = (id: string, name: string): string => node(id, `<data key="d1">${name}</data>`);
  const text = graph(named("n0", "AVAL") + named("n1", "<![CDATA[AV<AR]]>") + edge("n0", "n1", "1"));
  assert.is(await read(text, { key: "name" }), "AVAL>AV<AR:1 | AVAL,AV<AR");
  assert.is(await read(text, { key: "d1" }), "AVAL>AV<AR:1 | AVAL,AV<AR");
  await fails(() => read(text, { key: "label" }), "file-format", /attribute "label" of nodes, got "name"/);
  const twice = graph(named("n0", "AVAL") + named("n1", "AVAL"));
  await fails(() => read(twice, { key: "name" }), "file-format", /net\.graphml:\d+/, /"AVAL" again/);
  await fails(() => read(graph(node("n0")), { key: "name" }), "file-format", /an empty cell/);
});

test("weights come from the attribute asked for, its default, or are 1", async () => {
  const keys = '<key id="w" for="edge" attr.name="synapses"><default>2</default></key>';
  const text = graph(
    `${node("a") + node("b") + edge("a", "b", null)}<edge source="b" target="a"><data key="w">7</data></edge>`,
    {
      keys,
    },
  );
  assert.is(await read(text, { weight: "synapses" }), "b>a:7 a>b:2 | a,b");
  await fails(() => read(text), "file-format", /attribute "weight" of edges, got "synapses"/, /--no-weight/);
});

test("edges without a weight, weights that are none and unknown nodes are named", async () => {
  const nodes = node("a") + node("b");
  await refuses(
    graph(nodes + edge("a", "b", null)),
    /net\.graphml:7/,
    /finite weight \(attribute "weight"\), got none/,
  );
  for (const weight of ["", "x", "nan", "1e999", "0x1", "1,5"])
    await refuses(graph(nodes + edge("a", "b", weight)), /net\.graphml:7/, /finite weight/);
  await refuses(graph(nodes + edge("a", "c", "1")), /a node for both ends of every edge, got none for "c"/);
  // What edges name are the ids of the nodes, whatever names the neurons.
  const mistyped = graph(node("n10", '<data key="d1">AVAL</data>') + edge("n10", "n1O", "1"));
  await fails(() => read(mistyped, { key: "name" }), "file-format", /none for "n1O" \(did you mean "n10"\?\)/);
  await refuses(graph(nodes + node("a")), /net\.graphml:7/, /"a" again/);
  await refuses(graph("<node/>"), /attribute id/);
  await refuses(graph(`${nodes}<edge source="a"/>`), /attribute target/);
  await refuses(graph(nodes + edge("a", "b", '1</data><data key="d0">2')), /one value/);
  await refuses(graph(""), /expected nodes, got none/);
});

test("ids are judged as those of edge lists", async () => {
  for (const id of ["", "nan", "-1"]) await refuses(graph(node(id)), /net\.graphml:5/, /the id of a neuron/);
  await refuses(graph(node("1.5")), /the id of a neuron/);
  await refuses(graph(node("x") + node("1") + node("01")), /net\.graphml:7/, /one spelling/);
  await refuses(graph(node("7") + node("7.0")), /7 again/);
});

test("undirected graphs, nested graphs and hyperedges are refused", async () => {
  const nodes = node("a") + node("b");
  await refuses(graph(nodes).replace('"directed"', '"undirected"'), /directed edges/);
  await refuses(graph(nodes + edge("a", "b", "1", ' directed="false"')), /net\.graphml:7/, /directed edges/);
  await refuses(graph(node("a", '<graph edgedefault="directed"/>')), /one graph, not nested/);
  await refuses(graph(nodes).replace("</graphml>", '<graph edgedefault="directed"/></graphml>'), /one graph/);
  await refuses(graph(`${nodes}<hyperedge/>`), /<hyperedge>/);
  await refuses(node("a"), /<node> in a <graph>/);
});

test("document types, and entities with them, are refused", async () => {
  const laughs =
    '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;"><!ENTITY x SYSTEM "file:///etc/passwd">]>';
  await refuses(graph(node("&c;"), { head: laughs }), /document type/);
  await refuses(graph(node("&x;"), { head: laughs }), /document type/);
  await refuses(graph(node("&c;")), /XML without errors/);
  await refuses(`<!DOCTYPE x [${"<!ENTITY a 'b'>".repeat(100_000)}`, /net\.graphml/);
});

test("what is no XML, no UTF-8, cut off or very deep is refused", async () => {
  await fails(() => read(""), "file-truncated", /no graph/);
  await fails(() => read(graph("").split("</graph>")[0]!), "file-truncated", /the end within <graph>/);
  await refuses("pre,post\n1,2\n", /XML without errors/);
  await refuses(graph(`${node("a")}</node>`), /XML without errors/);
  await refuses(Buffer.from(graph(node("\xe9")), "latin1"), /UTF-8/, /iconv/);
  await refuses(graph(node("a"), { head: '<?xml version="1.0" encoding="ISO-8859-1"?>' }), /encoding "ISO-8859-1"/);
  await refuses("<a>".repeat(1_000_000), /32 deep/);
  await refuses(
    graph(node("a") + node("b") + edge("a", "b", "1".repeat(1_000_000))),
    /values of a few characters|finite weight/,
  );
  await fails(() => readGraphml(join(dir, "absent.graphml")), "file-missing");
});

test("elements that have names of the language's own are no attributes", async () => {
  await refuses(graph("<node __proto__='x'/>"), /attribute id/);
  assert.is(
    await read(graph(node("constructor") + node("__proto__") + edge("__proto__", "constructor", "1"))),
    "__proto__>constructor:1 | constructor,__proto__",
  );
});

test("a large graph is read in pieces", async () => {
  const n = 3000;
  const nodes = Array.from({ length: n }, (_, i) => node(`n${i}`)).join("");
  const edges = Array.from({ length: 20_000 }, (_, k) => edge(`n${k % n}`, `n${(k * 7) % n}`, "1")).join("");
  await writeFile(file, graph(nodes + edges));
  const { csr, labels } = await readGraphml(file);
  assert.is(csr.nnz + csr.duplicatesSummed, 20_000);
  assert.is(labels![n - 1], `n${n - 1}`);
});

test.run();

// Directed graphs in GraphML (NetworkX, igraph, Gephi, Cytoscape write it), in one pass. Nodes are neurons, edges connections from source
// to target. Source: http://graphml.graphdrawing.org/specification.html

import sax from "sax";
import { csrFromCoo } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { parseDecimal } from "./decimal.ts";
import type { EdgeList } from "./edgeListBuilder.ts";
import { nearHint } from "./joinIds.ts";
import { checkIdText, compareIds, idOfText, labelsOrNull, type NeuronId, settleIds } from "./neuronIds.ts";
import { readText } from "./textLines.ts";
import { Triples } from "./triples.ts";

export interface GraphmlOptions {
  /** Attribute of edges with their weights, by `attr.name` or id of its key. Default "weight"; null: every edge counts 1. */
  readonly weight?: string | number | null;
  /** Attribute of nodes that names the neurons, by `attr.name` or id of its key. Default: the ids of the nodes. */
  readonly key?: string;
  /** Order of the neurons: that of the nodes in the file (default), or sorted by id. */
  readonly order?: "sorted" | "firstSeen";
}

/** A declared attribute of nodes or edges. */
interface Key {
  readonly id: string;
  readonly name: string;
  readonly for: string;
  fallback: string | null;
}

/** The element that is being read. */
interface Item {
  readonly kind: "node" | "edge";
  /** Id of a node; source and target of an edge. */
  readonly ids: readonly string[];
  /** Value of the attribute looked for. */
  value: string | null;
}

const EXPECTED = "a graph in GraphML";
/** Elements of GraphML lie four deep; what lies deeper is something else. */
const MAX_DEPTH = 32;
const MAX_VALUE_LENGTH = 1 << 16;
const UNSUPPORTED: readonly string[] = ["hyperedge", "port", "endpoint", "locator"];

/**
 * Reads a graph, gzip or not; edges between the same two nodes are summed. Document types and with them entities are refused.
 *
 * @returns weights [post, pre] in f64; labels null where the ids are 0, 1, 2, …
 * @throws {FileFormatError} missing or damaged file, by line: an undirected graph, a nested one, nodes that are declared twice or not at
 *   all, an id or a weight that is none
 */
export async function readGraphml(file: string, options: GraphmlOptions = {}): Promise<EdgeList> {
  const reader = new GraphReader(file, options);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      const got = "other bytes, as Latin-1 has them (to convert: iconv -f latin1 -t utf-8)";
      throw new FileFormatError(`${file}: after line ${reader.line}`, "text in UTF-8", got);
    }
  };
  for await (const piece of readText(file, EXPECTED)) reader.write(decode(piece));
  reader.write(decode());
  return reader.end();
}

class GraphReader {
  readonly #file: string;
  readonly #options: GraphmlOptions;
  readonly #parser = sax.parser(true, { position: true });
  readonly #stack: string[] = [];
  readonly #keys: Key[] = [];
  /** Number of every id that an edge or a node had, in order of appearance. */
  readonly #numbers = new Map<string, number>();
  /** Numbers of the declared nodes, in order of declaration. */
  readonly #nodes: number[] = [];
  readonly #names: NeuronId[] = [];
  readonly #lines: number[] = [];
  readonly #declared = new Set<number>();
  readonly #edges = new Triples("f64");
  /** The keys looked for, once the graph begins. */
  #weightKey: Key | null = null;
  #nameKey: Key | null = null;
  #item: Item | null = null;
  #text: string | null = null;
  #graphs = 0;

  constructor(file: string, options: GraphmlOptions) {
    this.#file = file;
    this.#options = options;
    const parser = this.#parser;
    // The parser would continue after an error.
    parser.onerror = (error) => {
      throw this.#error("XML without errors", error.message.split("\n")[0]!);
    };
    parser.ondoctype = () => {
      throw this.#error("XML without a document type (and without entities)", "<!DOCTYPE …>");
    };
    parser.onprocessinginstruction = ({ name, body }) => {
      const encoding = /encoding\s*=\s*["']([^"']*)["']/.exec(body)?.[1];
      if (name !== "xml" || encoding === undefined || /^(utf-?8|utf-?16|us-ascii)$/i.test(encoding)) return;
      throw this.#error("text in UTF-8 or UTF-16", `encoding ${quoteText(encoding)}`);
    };
    parser.onopentag = ({ name, attributes }) => this.#open(localName(name), attributes as Attributes);
    parser.onclosetag = (name) => this.#close(localName(name));
    parser.ontext = (text) => this.#addText(text);
    parser.oncdata = (text) => this.#addText(text);
  }

  /** Line that is being read, from 1. */
  get line(): number {
    return this.#parser.line + 1;
  }

  write(text: string): void {
    if (text !== "") this.#parser.write(text);
  }

  end(): EdgeList {
    if (this.#stack.length > 0 || this.#graphs === 0) {
      const got = this.#graphs === 0 ? "no graph" : `the end within <${this.#stack.at(-1)}>`;
      throw new FileFormatError(this.#file, EXPECTED, got, "file-truncated");
    }
    const ids = settleIds(this.#names, (i) => `${this.#file}:${this.#lines[i]}`);
    this.#checkNodes(ids);
    const order = ids.map((_, i) => i);
    if (this.#options.order === "sorted") order.sort((a, b) => compareIds(ids[a]!, ids[b]!));
    const place = new Uint32Array(this.#numbers.size);
    order.forEach((node, i) => {
      place[this.#nodes[node]!] = i;
    });
    const { rows, cols, values } = this.#edges;
    const n = ids.length;
    const csr = csrFromCoo(
      { nRows: n, nCols: n, rows: rows.map((i) => place[i]!), cols: cols.map((i) => place[i]!), values },
      this.#file,
    );
    return { csr, labels: labelsOrNull(order.map((node) => ids[node]!)) };
  }

  #checkNodes(ids: readonly NeuronId[]): void {
    if (ids.length === 0) throw new FileFormatError(this.#file, "nodes", "none");
    const seen = new Set<NeuronId>();
    ids.forEach((id, i) => {
      const place = `${this.#file}:${this.#lines[i]}`;
      if (seen.has(id)) throw new FileFormatError(place, "different nodes", `${quoteValue(id)} again`);
      seen.add(id);
    });
    const known = [...this.#numbers.keys()];
    const missing = known.find((_, number) => !this.#declared.has(number));
    if (missing === undefined) return;
    const hint = nearHint(
      missing,
      known.filter((_, number) => this.#declared.has(number)),
    );
    throw new FileFormatError(
      this.#file,
      "a node for both ends of every edge",
      `none for ${quoteText(missing)}${hint}`,
    );
  }

  #open(name: string, attributes: Attributes): void {
    const parent = this.#stack.at(-1);
    if (this.#stack.push(name) > MAX_DEPTH) throw this.#error(EXPECTED, `elements ${MAX_DEPTH} deep`);
    if (UNSUPPORTED.includes(name)) throw this.#error("nodes and edges", `<${name}>`);
    if (name === "key") this.#keys.push(this.#keyOf(attributes));
    else if (name === "graph") this.#openGraph(attributes, parent);
    else if (name === "node" || name === "edge") this.#openItem(name, attributes, parent);
    else if (name === "data") this.#openData(attributes, parent);
    else if (name === "default" && parent === "key") this.#text = "";
  }

  #openGraph(attributes: Attributes, parent: string | undefined): void {
    if (parent !== "graphml" || this.#graphs++ > 0) throw this.#error("one graph, not nested", "another one");
    this.#checkDirected(attribute(attributes, "edgedefault") === "undirected");
    const { weight = "weight", key } = this.#options;
    if (weight !== null) this.#weightKey = this.#keyNamed(String(weight), "edge");
    if (key !== undefined) this.#nameKey = this.#keyNamed(key, "node");
  }

  #openItem(kind: "node" | "edge", attributes: Attributes, parent: string | undefined): void {
    if (parent !== "graph") throw this.#error(`<${kind}> in a <graph>`, `one in <${parent ?? "no element"}>`);
    if (kind === "edge") this.#checkDirected(attribute(attributes, "directed") === "false");
    const ids = (kind === "node" ? ["id"] : ["source", "target"]).map((name) => this.#required(attributes, name));
    this.#item = { kind, ids, value: null };
  }

  #openData(attributes: Attributes, parent: string | undefined): void {
    const wanted = this.#item?.kind === "edge" ? this.#weightKey : this.#nameKey;
    if (wanted === null || this.#item === null || parent !== this.#item.kind) return;
    if (this.#required(attributes, "key") === wanted.id) this.#text = "";
  }

  #close(name: string): void {
    this.#stack.pop();
    const text = this.#text?.trim() ?? null;
    if (name === "data" && text !== null && this.#item !== null) {
      if (this.#item.value !== null)
        throw this.#error("one value", `${quoteText(text)} besides ${quoteText(this.#item.value)}`);
      this.#item.value = text;
    } else if (name === "default" && text !== null) this.#keys.at(-1)!.fallback = text;
    else if (name === "node" && this.#item !== null) this.#addNode(this.#item);
    else if (name === "edge" && this.#item !== null) this.#addEdge(this.#item);
    if (name === "data" || name === "default") this.#text = null;
    if (name === "node" || name === "edge") this.#item = null;
  }

  #addNode({ ids: [id], value }: Item): void {
    const number = this.#numberOf(id!);
    if (this.#declared.has(number)) throw this.#error("different nodes", `${quoteText(id!)} again`);
    this.#declared.add(number);
    const name = this.#nameKey === null ? id! : (value ?? this.#nameKey.fallback ?? "");
    checkIdText(name, () => this.#place());
    this.#nodes.push(number);
    this.#names.push(idOfText(name));
    this.#lines.push(this.line);
  }

  #addEdge({ ids: [source, target], value }: Item): void {
    const key = this.#weightKey;
    const text = value ?? key?.fallback ?? null;
    const bytes = new TextEncoder().encode(text ?? "");
    const weight = key === null ? 1 : parseDecimal(bytes, 0, bytes.length);
    if (Number.isNaN(weight)) {
      throw this.#error(
        `a finite weight (attribute ${quoteText(key!.name)})`,
        text === null ? "none" : quoteText(text),
      );
    }
    const col = this.#numberOf(source!);
    this.#edges.push(this.#numberOf(target!), col, weight);
  }

  #addText(text: string): void {
    if (this.#text === null) return;
    this.#text += text;
    if (this.#text.length > MAX_VALUE_LENGTH)
      throw this.#error("values of a few characters", `${this.#text.length} of them`);
  }

  #numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    this.#numbers.set(id, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  #keyOf(attributes: Attributes): Key {
    const id = this.#required(attributes, "id");
    const target = attribute(attributes, "for") ?? "all";
    return { id, name: attribute(attributes, "attr.name") ?? id, for: target, fallback: null };
  }

  #keyNamed(name: string, kind: "node" | "edge"): Key {
    const keys = this.#keys.filter((key) => key.for === kind || key.for === "all");
    const named = keys.filter((key) => key.name === name);
    const found = named.length > 0 ? named : keys.filter((key) => key.id === name);
    if (found.length === 1) return found[0]!;
    const known = keys.map((key) => quoteText(key.name, 60));
    const got = found.length > 1 ? "several" : known.length === 0 ? "none of any name" : known.slice(0, 8).join(", ");
    const hint = kind === "edge" ? " (weight: null, --no-weight: every edge counts 1)" : "";
    throw this.#error(`an attribute ${quoteText(name)} of ${kind}s`, `${got}${hint}`);
  }

  #required(attributes: Attributes, name: string): string {
    const value = attribute(attributes, name);
    if (value === undefined) throw this.#error(`<${this.#stack.at(-1)}> with the attribute ${name}`, "one without");
    return value;
  }

  #checkDirected(isUndirected: boolean): void {
    if (isUndirected) throw this.#error("directed edges (write a mutual connection as two)", "undirected ones");
  }

  #place(): string {
    return `${this.#file}:${this.line}`;
  }

  #error(expected: string, got: string): FileFormatError {
    return new FileFormatError(this.#place(), expected, got);
  }
}

type Attributes = Readonly<Record<string, string>>;

function attribute(attributes: Attributes, name: string): string | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

/** The name of an element without its namespace. */
function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

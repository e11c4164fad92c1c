import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readTypeEdges } from "../../src/io/typeEdges.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("typeEdges");
const dir = tempDir();

async function table(...lines: readonly string[]): Promise<string> {
  const file = join(dir, "type_edges.csv");
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

test("pairs of types with their signs; other columns and repetitions are ignored", async () => {
  const file = await table("source_type,n,sign,target_type", "R1,7,-1,L1", "L1,3,2.5,Mi1", "R1,8,-1,L1");
  assert.equal(await readTypeEdges(file), [
    { pre: "R1", post: "L1", sign: -1 },
    { pre: "L1", post: "Mi1", sign: 1 },
  ]);
});

test("columns by other names", async () => {
  const file = await table("from,to,s", "a,b,1");
  const edges = await readTypeEdges(file, { pre: "from", post: "to", sign: "s" });
  assert.equal(edges, [{ pre: "a", post: "b", sign: 1 }]);
});

test("a missing column, a sign that is none and contradictions are told by line", async () => {
  const head = "source_type,target_type,sign";
  const refuses = (message: RegExp, ...lines: readonly string[]) =>
    fails(async () => readTypeEdges(await table(...lines)), "file-format", message);
  await refuses(/a column "target_type", got columns source_type, to, sign/, "source_type,to,sign", "a,b,1");
  await refuses(/type_edges\.csv:3, column "sign": expected a sign other than 0, got "0"/, head, "a,b,1", "b,a,0");
  await refuses(/a sign other than 0, got "x"/, head, "a,b,x");
  await refuses(/:3: expected one sign for "a" → "b", got both/, head, "a,b,1", "a,b,-1");
});

test("a headerless first line is an edge; types and positions that do not fit are refused", async () => {
  const positions = { pre: 0, post: 1, sign: 2 };
  assert.is((await readTypeEdges(await table("a,b,1", "b,a,-1"), positions)).length, 2);
  assert.is((await readTypeEdges(await table("from,to,s", "b,a,-1"), positions)).length, 1);
  const head = "source_type,target_type,sign";
  await fails(
    async () => readTypeEdges(await table(head, ",b,1")),
    "file-format",
    /column "source_type"/,
    /name of a type/,
  );
  await fails(async () => readTypeEdges(await table(head, "a,nan,1")), "file-format", /column "target_type"/, /"nan"/);
  await fails(async () => readTypeEdges(await table(`${head},sign`, "a,b,1,-1")), "file-format", /one column "sign"/);
});

test.run();

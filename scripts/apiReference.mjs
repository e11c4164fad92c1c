// Makes the API reference, docs/api/*.md, from the compiler's declarations: one page per section of src/index.ts.
//   npm run docs               writes the pages (after a build)
//   … apiReference.mjs --check exits with 1 if a public name has no docstring, is on no page, or mentions a type that is not public
//
// Relies on the layout of tsc's declarations: each starts in the first column, and its further lines are indented or close it.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "docs", "api");

const NOTICE = "Made from the docstrings by `npm run docs`.";

const sections = sectionsOf(readFileSync(join(root, "src", "index.ts"), "utf8"));
const entries = sections.flatMap((section) => section.entries);

if (process.argv.includes("--check")) check();
else write();

function write() {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const section of sections) writeFileSync(join(folder, `${section.slug}.md`), page(section));
  writeFileSync(join(folder, "README.md"), contents());
  console.log(`docs/api: ${sections.length} pages, ${entries.length} names`);
}

function check() {
  const written = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
  const problems = entries.flatMap(({ name, doc, home, text }) => [
    ...(doc === "" ? [`${name} has no docstring`] : []),
    ...hiddenTypesOf({ name, home, text }).map((type) => `${name} mentions ${type}, which is not exported`),
    ...(written.some((text) => text.includes(`\n## ${name}\n`)) ? [] : [`${name} is on no page: npm run docs`]),
  ]);
  for (const problem of problems) console.log(problem);
  if (problems.length > 0) process.exitCode = 1;
}

/** Types in a public declaration that users cannot name: declared or imported in its module, but not exported by the package. */
function hiddenTypesOf({ name, home, text }) {
  const isPublic = new Set(entries.map((entry) => entry.name));
  const lines = text.replace(/\/\*[\s\S]*?\*\//g, "").split("\n");
  const visible = lines.filter((line) => !/^ {4}(protected|private) /.test(line)).join("\n");
  // Not part of a longer word, and not the name of a property.
  const mentions = (type) => new RegExp(`(?<![\\w.])${type}(?!\\w|\\??:)`).test(visible);
  return namesIn(declarationsOf(home)).filter((type) => type !== name && !isPublic.has(type) && mentions(type));
}

/** The names that a module imports from other modules of the package, and those that it declares. */
function namesIn(declarations) {
  const imported = [...declarations.matchAll(/^import (?:type )?\{([^}]*)\} from "\.[^"]+";/gm)].flatMap(([, names]) =>
    names.split(",").map((name) => name.replace(/\btype\b/, "").trim()),
  );
  const declared = [
    ...declarations.matchAll(/^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|const) (\w+)/gm),
  ];
  return [...new Set([...imported, ...declared.map(([, name]) => name)])].filter((name) => name !== "");
}

function declarationsOf(file) {
  return readFileSync(join(root, "dist", "src", `${file}.d.ts`), "utf8");
}

/** Sections of the index: a comment, and the exports below it. */
function sectionsOf(index) {
  const [, ...parts] = index.replace(/^\/\/.*\n/, "").split(/^\/\/ /m);
  return parts.map((part) => {
    const [title, ...rest] = part.split("\n");
    const body = rest.join("\n");
    const found = [...body.matchAll(/export (?:type )?\{([^}]*)\} from "\.\/([^"]+)\.ts"/g)].flatMap(
      ([, names, file]) =>
        names
          .split(",")
          .map((name) => name.replace(/\btype\b/, "").trim())
          .filter((name) => name !== "")
          .map((name) => ({ name, file, ...declarationOf(name, file) })),
    );
    found.sort((a, b) => a.name.localeCompare(b.name, "en"));
    const plain = title.replace(/\.$/, "");
    return { title: plain, slug: plain.split(",")[0].toLowerCase().replace(/\W+/g, "-"), entries: found };
  });
}

/** Docstring and text of the declaration of a name in a module, or in the module that it re-exports from. */
function declarationOf(name, file) {
  const lines = declarationsOf(file).split("\n");
  const start = lines.findIndex((line) => new RegExp(`^export (declare )?[\\w ]*\\b${name}\\b(?=[ <(:=;])`).test(line));
  if (start < 0) {
    const all = lines.join("\n");
    const passed = all.match(new RegExp(`\\{[^}]*\\b${name}\\b[^}]*\\} from "(\\.[^"]+)\\.ts"`));
    const others = [...all.matchAll(/^export \* from "(\.[^"]+)\.ts"/gm)].map(([, from]) => from);
    const from = passed?.[1] ?? others.find((other) => declarationsOf(join(file, "..", other)).includes(name));
    if (!from) throw new Error(`${file}: no declaration of ${name}`);
    return declarationOf(name, join(file, "..", from));
  }
  // Overloads are adjacent.
  let end = start + 1;
  while (
    end < lines.length &&
    (/^[\s})\]]/.test(lines[end]) || lines[end].startsWith(`export declare function ${name}(`))
  )
    end++;
  let docStart = start;
  if (lines[start - 1]?.trimEnd().endsWith("*/")) {
    docStart = start - 1;
    while (!lines[docStart].startsWith("/**")) docStart--;
  }
  const text = lines.slice(start, end).filter((line) => !/^ {4}#private;$/.test(line));
  const declaration = text
    .join("\n")
    .trimEnd()
    .replace(/^export (declare )?/gm, "");
  const readable = annotated(name, file) ?? spelledOut(declaration, file);
  return { home: file, doc: docText(lines.slice(docStart, start)), text: readable };
}

/** A declaration in which lists replace `(typeof LIST)[number]`. */
function spelledOut(text, file) {
  return text.replace(/\(?typeof (\w+)\)?\[number\]/g, (whole, list) => {
    const [, from] =
      new RegExp(`\\{[^}]*\\b${list}\\b[^}]*\\} from "(\\.[^"]+)\\.ts"`).exec(declarationsOf(file)) ?? [];
    const home = from ? join(file, "..", from) : file;
    const [, members] = new RegExp(`const ${list}: readonly \\[([^\\]]*)\\]`).exec(declarationsOf(home)) ?? [];
    return members?.replaceAll(", ", " | ") ?? whole;
  });
}

/** A union as in its source, with a comment for each member, which the compiler omits; null if there are no such comments. */
function annotated(name, file) {
  const source = readFileSync(join(root, "src", `${file}.ts`), "utf8");
  const [, text] = new RegExp(`^export (type ${name} =\\n(?: {2}\\|.*\\n)+)`, "m").exec(source) ?? [];
  return text?.includes(" // ") ? text.trimEnd() : null;
}

/** A docstring as Markdown: its tags become a list. */
function docText(lines) {
  const text = lines
    .join("\n")
    .replace(/^\/\*\*\s?/, "")
    .replace(/\s*\*\/\s*$/, "")
    .replace(/^ \* ?/gm, "");
  const [body, ...tags] = text.split(/^@/m);
  const items = tags.map((tag) => {
    const [, kind, rest] = /^(\w+)\s+([\s\S]*)$/.exec(tag.trim()) ?? ["", tag.trim(), ""];
    const words = rest.replaceAll(/\s*\n\s*/g, " ");
    if (kind === "param") return `- ${words.replace(/^(\S+)\s+/, "`$1`: ")}`;
    if (kind === "throws") return `- throws ${words.replace(/^\{([^}]*)\}\s*/, "`$1` ")}`;
    return `- ${kind}: ${words}`;
  });
  return [body.trim(), items.join("\n")].filter((part) => part !== "").join("\n\n");
}

function page({ title, entries: own }) {
  const parts = own.map(({ name, file, doc, text }) => {
    const source = `[src/${file}.ts](../../src/${file}.ts)`;
    return `## ${name}\n\n${doc}\n\n\`\`\`ts\n${text}\n\`\`\`\n\n${source}\n`;
  });
  return `# ${title}\n\n${NOTICE}\n\n${parts.join("\n")}`;
}

function contents() {
  const list = sections.map(({ title, slug, entries: own }) => {
    const names = own.map(({ name }) => `[\`${name}\`](${slug}.md#${name.toLowerCase()})`);
    return `## [${title}](${slug}.md)\n\n${names.join(", ")}\n`;
  });
  return `# API reference\n\n${NOTICE} All names are exported by \`axograd\`.\n\n${list.join("\n")}`;
}

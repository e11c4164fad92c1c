// A shader without the declarations that its entry point never reaches. Kernels import all shared functions, and a compiler reads, checks
// and translates each of them before it finds that nothing calls it.

/** A declaration of a module; `names` are all identifiers in it, its own name among them. */
export interface Declaration {
  readonly name: string | null;
  readonly text: string;
  readonly names: ReadonlySet<string>;
}

/** Comments, brackets and the ends of statements: all that tells where a declaration ends. */
const MARKS = /\/\/.*|[{}()[\];]/g;
const COMMENT = /[ \t]*\/\/.*/g;
const IDENTIFIER = /[A-Za-z_]\w*/g;
/** What a declaration declares, behind its attributes. A directive (`enable`) declares nothing. */
const DECLARED = /^(?:@\w+(?:\([^()]*\))?\s*)*(?:fn|struct|alias|const|override|var(?:\s*<[^>]*>)?)\s+([A-Za-z_]\w*)/;

/**
 * The text of those declarations of a module that `main` reaches, directly or through others, in their order. Whoever names a declaration
 * reaches it, even where a local name hides it: rather one too many than one too few.
 */
export function reachable(module: readonly Declaration[]): string {
  const byName = new Map(module.map((declaration) => [declaration.name, declaration]));
  const reached = new Set<Declaration>();
  const visit = (declaration: Declaration | undefined): void => {
    if (!declaration || reached.has(declaration)) return;
    reached.add(declaration);
    for (const name of declaration.names) visit(byName.get(name));
  };
  for (const declaration of module) if (declaration.name === null || declaration.name === "main") visit(declaration);
  const texts = module.filter((declaration) => reached.has(declaration)).map(({ text }) => text);
  return `${texts.join("\n")}\n`;
}

/** Cuts WGSL into declarations, without comments: each ends with a semicolon or a closing brace outside all brackets. */
export function declarationsOf(source: string): readonly Declaration[] {
  const declarations: Declaration[] = [];
  let begin = 0;
  let depth = 0;
  for (const { 0: mark, index } of source.matchAll(MARKS)) {
    if (mark.startsWith("//")) continue;
    if ("{([".includes(mark)) depth++;
    else if (mark !== ";") depth--;
    if (depth > 0 || ")]".includes(mark)) continue;
    declarations.push(declarationOf(source.slice(begin, index + 1)));
    begin = index + 1;
  }
  return declarations;
}

function declarationOf(cut: string): Declaration {
  const text = cut
    .replace(COMMENT, "")
    .replace(/\n\s*\n/g, "\n")
    .trim();
  return { name: DECLARED.exec(text)?.[1] ?? null, text, names: new Set(text.match(IDENTIFIER)) };
}

// The program that runs this one: Node.js, or one that offers Node's modules.

/** A runtime of JavaScript. */
export interface Runtime {
  readonly name: "node" | "bun" | "deno";
  /** Its version, as in "20.20.2". */
  readonly version: string;
}

/** The runtime of this process. */
export function runtimeOf(versions: Readonly<Record<string, string | undefined>> = process.versions): Runtime {
  for (const name of ["bun", "deno"] as const) {
    const version = versions[name];
    if (version !== undefined) return { name, version };
  }
  return { name: "node", version: versions.node! };
}

/** The words before a script in a shell command. Child processes need only `process.execPath`: Deno adds the rest for them. */
export function scriptCommand({ name }: Runtime = runtimeOf(), program: string = process.execPath): readonly string[] {
  return name === "deno" ? [program, "run", "-A"] : [program];
}

// Variables of the environment, for native libraries of this process too. They see changes of `process.env` under Node and Deno, but not under
// Bun, which keeps a copy.

import { createRequire } from "node:module";

interface BunFfi {
  dlopen<T extends Record<string, (...args: never[]) => number>>(
    library: string,
    functions: Readonly<Record<keyof T, { readonly args: readonly string[]; readonly returns: string }>>,
  ): { readonly symbols: T };
}

interface CLibrary extends Record<string, (...args: never[]) => number> {
  setenv(name: Buffer, value: Buffer, replace: number): number;
  unsetenv(name: Buffer): number;
}

const LIBRARIES: Readonly<Record<string, string>> = { linux: "libc.so.6", darwin: "libSystem.B.dylib" };

/** Sets a variable for this process, its libraries and its children; undefined: removes it. */
export function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
  const library = process.versions.bun === undefined ? undefined : LIBRARIES[process.platform];
  if (library === undefined) return;
  const { symbols: c } = (createRequire(import.meta.url)("bun:ffi") as BunFfi).dlopen<CLibrary>(library, {
    setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" },
    unsetenv: { args: ["ptr"], returns: "i32" },
  });
  const text = (word: string): Buffer => Buffer.from(`${word}\0`);
  if (value === undefined) c.unsetenv(text(name));
  else c.setenv(text(name), text(value), 1);
}

// Compiling a program and binding what it names, out of a larger set of buffers.

import type { Backend, Bindable, BoundProgram } from "./backend.ts";
import type { PanelLayout, Program } from "./program.ts";

/** Compiles `program` and binds those of the `available` buffers that it names; a missing one is the backend's error. */
export function compileAndBind(
  backend: Backend,
  program: Program,
  layout: PanelLayout,
  available: Readonly<Record<string, Bindable | undefined>>,
): BoundProgram {
  const named: Record<string, Bindable> = {};
  for (const b of program.bindings) {
    const buffer = b.temp ? undefined : available[b.name];
    if (buffer) named[b.name] = buffer;
  }
  return backend.bind(backend.compile(program, layout), named);
}

// A program made ready for a layout: its dispatches, the memory of its temporaries, and its shaders, which depend on how the bound
// buffers are spread over slabs and are therefore made when that is known.

import type { Executable } from "../backend.ts";
import type { BindingId, PanelLayout, Program } from "../program.ts";
import type { Memory } from "./buffers.ts";
import { lengthOf } from "./layout.ts";
import { type ProgramPlan, planOf } from "./plan.ts";
import type { Shader } from "./shader.ts";
import { shaderOf } from "./shaders.ts";
import type { Piece } from "./slabs.ts";
import { shareTemporaries } from "./temporaries.ts";

export class GpuExecutable implements Executable {
  readonly program: Program;
  readonly layout: PanelLayout;
  readonly plan: ProgramPlan;
  readonly memory: Memory;
  readonly #shaders = new Map<string, Shader>();
  #temporaries: ReadonlyMap<BindingId, Piece> | null = null;

  constructor(memory: Memory, program: Program, layout: PanelLayout) {
    this.memory = memory;
    this.program = program;
    this.layout = layout;
    this.plan = planOf(program);
  }

  /** Memory of the temporaries, allocated when it is first needed and the same for all that is bound: runs do not overlap. */
  get temporaries(): ReadonlyMap<BindingId, Piece> {
    this.#temporaries ??= this.#allocate();
    return this.#temporaries;
  }

  /** The shader of dispatch `at` for buffers spread over slabs like this: one number per access, equal where slabs are. */
  shader(at: number, slabOf: (id: BindingId) => number, pattern: string): Shader {
    const key = `${at}: ${pattern}`;
    let shader = this.#shaders.get(key);
    if (!shader) {
      shader = shaderOf(this.plan.dispatches[at]!, this.plan.bindings, this.layout, slabOf);
      this.#shaders.set(key, shader);
    }
    return shader;
  }

  #allocate(): ReadonlyMap<BindingId, Piece> {
    const pieces = new Map<BindingId, Piece>();
    for (const { length, members } of shareTemporaries(this.plan.bindings, (b) => lengthOf(b, this.layout))) {
      const names = members.map((id) => this.plan.bindings[id]!.name).join(", ");
      const piece = this.memory.slabs.allocate(`${this.program.name}: ${names}`, 4 * length);
      this.memory.ledger.add(4 * length, false);
      for (const id of members) pieces.set(id, piece);
    }
    return pieces;
  }
}

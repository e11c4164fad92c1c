// A program made ready for a layout: its dispatches, the memory of its temporaries, and its shaders. Shaders depend on the slabs that the
// bound buffers lie in, so they are made when a program is bound.

import type { Executable } from "../backend.ts";
import type { BindingId, PanelLayout, Program } from "../program.ts";
import type { Memory } from "./deviceBuffers.ts";
import { type ProgramPlan, planOf } from "./plan.ts";
import type { Shader } from "./shader.ts";
import { shaderOf } from "./shaders.ts";
import type { Piece } from "./slabs.ts";
import type { SparseTuning } from "./sparseTuning.ts";
import { shareTemporaries, type TemporaryPool } from "./temporaryPool.ts";

export class GpuExecutable implements Executable {
  readonly program: Program;
  readonly layout: PanelLayout;
  readonly plan: ProgramPlan;
  readonly memory: Memory;
  /** As it was when the program was compiled. */
  readonly tuning: SparseTuning;
  readonly #shaders = new Map<string, Shader>();
  /** Memory of the temporaries, from the pool. */
  readonly temporaries: ReadonlyMap<BindingId, Piece>;

  constructor(memory: Memory, pool: TemporaryPool, program: Program, layout: PanelLayout) {
    this.memory = memory;
    this.tuning = memory.tuning;
    this.program = program;
    this.layout = layout;
    this.plan = planOf(program, memory.gather);
    this.temporaries = this.#takeMemory(pool);
  }

  /** The shader of dispatch `at` for buffers spread over slabs like this: one number per access, equal where slabs are. */
  shader(at: number, slabOf: (id: BindingId) => number, pattern: string): Shader {
    const key = `${at}: ${pattern}`;
    let shader = this.#shaders.get(key);
    if (!shader) {
      shader = shaderOf(this.plan.dispatches[at]!, this.plan.bindings, this.layout, slabOf, this.tuning);
      this.#shaders.set(key, shader);
    }
    return shader;
  }

  #takeMemory(pool: TemporaryPool): ReadonlyMap<BindingId, Piece> {
    const groups = shareTemporaries(this.plan.bindings, this.layout, this.plan.halves);
    const pieces = pool.take(groups, `${this.program.name}: temporaries`);
    return new Map(groups.flatMap(({ members }, k) => members.map((id) => [id, pieces[k]!] as const)));
  }
}

// A program becomes an executable: machine code for every phase, and a plan of the memory it needs while it runs. What it is bound
// to is not known yet.

import { bytesOf } from "../../core/dtype.ts";
import type { Executable } from "../backend.ts";
import { lengthOf } from "../layout.ts";
import type { BindingId, PanelLayout, Program } from "../program.ts";
import { padded } from "./arena.ts";
import type { Functions } from "./fuse.ts";
import * as isa from "./isa.ts";
import type { MachinePhase } from "./machine.ts";
import { lowerPhase } from "./phaseLowering.ts";
import { planTemporaries, type Temporary } from "./temporaries.ts";

export class WasmExecutable implements Executable {
  readonly program: Program;
  readonly layout: PanelLayout;
  /** Those that its code calls: the backend's that compiled it. */
  readonly functions: Functions;
  readonly phases: readonly MachinePhase[];
  /** By temporary binding: its offset in the memory that all programs share. */
  readonly temporaries: ReadonlyMap<BindingId, number>;
  /** By phase and reduction: the offset of the partial results, in the same memory. */
  readonly partials: readonly (readonly number[])[];
  readonly sharedBytes: number;
  /** Bytes of the registers of one thread. */
  readonly scratchBytes: number;

  /**
   * @param program  keeps the rules of program.ts: see checkProgram.ts
   * @param phases  code that does the same; default: each phase of the program, lowered
   */
  constructor(
    program: Program,
    layout: PanelLayout,
    functions: Functions,
    phases: readonly MachinePhase[] = program.phases.map((phase) => lowerPhase(program, phase, layout, functions)),
  ) {
    this.program = program;
    this.layout = layout;
    this.functions = functions;
    this.phases = phases;
    this.scratchBytes = Math.max(0, ...this.phases.map((phase) => phase.scratchBytes));

    const ids = [...program.bindings.keys()].filter((id) => program.bindings[id]!.temp);
    const temporaries = ids.map((id): Temporary => {
      const binding = program.bindings[id]!;
      return { bytes: padded(lengthOf(binding, layout) * bytesOf(functions.dtype)), ...binding.temp! };
    });
    const partials = this.phases.map((phase, phaseIdx) =>
      phase.reductions.map(({ width }): Temporary => {
        const nTiles = Math.ceil(phase.rows / phase.tileRows);
        return { bytes: padded(nTiles * width), firstPhase: phaseIdx, lastPhase: phaseIdx };
      }),
    );
    const plan = planTemporaries([...temporaries, ...partials.flat()]);
    this.sharedBytes = plan.bytes;
    this.temporaries = new Map(ids.map((id, i) => [id, plan.offsets[i]!]));
    let at = ids.length;
    this.partials = partials.map((ofPhase) => ofPhase.map(() => plan.offsets[at++]!));
  }

  /** Most bytes that an image for `threads` threads takes. */
  imageBytes(threads: number): number {
    let bytes = isa.IMAGE_HEADER_BYTES + isa.STEP_BYTES;
    for (const { prologue, body, reductions } of this.phases) {
      // A barrier before the phase and one before the first fold.
      bytes += (3 + reductions.length) * isa.STEP_BYTES + 4 * (threads + 1);
      for (const { operands } of [...prologue, ...body]) bytes += isa.INSTR_BYTES + operands.length * isa.OPERAND_BYTES;
    }
    return bytes;
  }
}

// Pipelines by shader text and layout: equal shaders share one, across programs.

import type { Device } from "./device.ts";
import type { Slot } from "./shader.ts";

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Pipelines {
  readonly #device: Device;
  readonly #known = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }>();

  constructor(device: Device) {
    this.#device = device;
  }

  get(label: string, source: string, slots: readonly Slot[]): Pipeline {
    const types = typesOf(slots);
    // A shader need not mention all that is bound for it.
    const key = `${types.join(" ")}\n${source}`;
    const known = this.#known.get(key);
    if (known) return known;
    const { group, pipeline: layout } = this.#layout(types);
    const made = { pipeline: this.#device.pipeline(label, source, layout), layout: group };
    this.#known.set(key, made);
    return made;
  }

  #layout(types: readonly GPUBufferBindingType[]): {
    readonly group: GPUBindGroupLayout;
    readonly pipeline: GPUPipelineLayout;
  } {
    const key = types.join(" ");
    const known = this.#layouts.get(key);
    if (known) return known;
    const { gpu } = this.#device;
    const entries = ["uniform" as const, ...types].map((type, binding) => {
      return { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } };
    });
    const group = gpu.createBindGroupLayout({ entries });
    const made = { group, pipeline: gpu.createPipelineLayout({ bindGroupLayouts: [group] }) };
    this.#layouts.set(key, made);
    return made;
  }
}

function typesOf(slots: readonly Slot[]): readonly GPUBufferBindingType[] {
  return slots.map((slot) => ("writes" in slot && slot.writes ? "storage" : "read-only-storage"));
}

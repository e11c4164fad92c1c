// Pipelines by shader text: equal shaders share one, across programs.

import type { Device } from "./device.ts";
import type { Slot } from "./shader.ts";

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Pipelines {
  readonly #device: Device;
  readonly #bySource = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }>();

  constructor(device: Device) {
    this.#device = device;
  }

  get(label: string, source: string, slots: readonly Slot[]): Pipeline {
    const known = this.#bySource.get(source);
    if (known) return known;
    const { group, pipeline: layout } = this.#layout(slots);
    const made = { pipeline: this.#device.pipeline(label, source, layout), layout: group };
    this.#bySource.set(source, made);
    return made;
  }

  #layout(slots: readonly Slot[]): { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout } {
    const types = slots.map((slot): GPUBufferBindingType => {
      return "writes" in slot && slot.writes ? "storage" : "read-only-storage";
    });
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

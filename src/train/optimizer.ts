// Optimiser steps as programs: one fused pass over each parameter. Formulas are PyTorch's (torch.optim, single tensor).

export { Adam, type AdamOptions, AdamW } from "./optimizer/adam.ts";
export { Optimizer, type OptimizerOptions, type OptimizerState } from "./optimizer/base.ts";
export type { ParameterGroup } from "./optimizer/groups.ts";
export type { ClipOptions } from "./optimizer/programs.ts";
export { RMSprop, type RmspropOptions } from "./optimizer/rmsprop.ts";
export { SGD, type SgdOptions } from "./optimizer/sgd.ts";

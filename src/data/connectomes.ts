// The connectome makers and the projections that go with them, under one name.

export { type LogNormalOptions, logNormalConnectome } from "./logNormalConnectome.ts";
export { createSparseProjection, neuronsOfRole, randomIndices, retinotopicProjection } from "./projection.ts";
export {
  type RetinotopicConnectome,
  type RetinotopicOptions,
  retinotopicConnectome,
} from "./retinotopicConnectome.ts";
export { absolute, normaliseRows } from "./scaling.ts";

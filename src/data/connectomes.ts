// One module for generators, controls and statistics of connectomes, and for projections.

export { stronglyConnectedComponents, weaklyConnectedComponents } from "./components.ts";
export { type DegreeShuffleOptions, degreePreservingShuffle } from "./degreePreservingShuffle.ts";
export { type DistanceDecayOptions, distanceDecay } from "./distanceDecay.ts";
export { type ErdosRenyiOptions, erdosRenyi, erdosRenyiLike } from "./erdosRenyi.ts";
export { HexagonalEye, type HexagonalOffset, hexagonalOffsets } from "./hexagon.ts";
export { hexConvolution, type SharedPattern } from "./hexConvolution.ts";
export {
  eyeExtentOf,
  type HexagonalNeurons,
  hexagonalEyeOf,
  hexagonalInput,
  hexagonalReadout,
} from "./hexProjection.ts";
export { type LogNormalOptions, logNormalConnectome } from "./logNormalConnectome.ts";
export { type MotionConnectome, type MotionConnectomeOptions, motionConnectome } from "./motionConnectome.ts";
export {
  createSparseProjection,
  groupInput,
  groupReadout,
  neuronsOfRole,
  randomGroups,
  randomIndices,
  retinotopicProjection,
} from "./projection.ts";
export {
  type RetinotopicConnectome,
  type RetinotopicOptions,
  retinotopicConnectome,
} from "./retinotopicConnectome.ts";
export { absolute, normaliseRows, normaliseTypes } from "./scaling.ts";
export { type SmallWorldOptions, smallWorld } from "./smallWorld.ts";
export { growthRate, spectralRadiusOfAbsolute } from "./spectralRadius.ts";
export { type ConnectomeStatistics, connectomeStatistics, type Distribution, distributionOf } from "./statistics.ts";
export { type TopographicOptions, topographicConnectome } from "./topographicConnectome.ts";
export { type TypedConnectome, type TypedOptions, typedConnectome } from "./typedConnectome.ts";
export { type SharedByTypeOffset, sharedByTypeOffset } from "./typeOffsets.ts";
export {
  type SharedByTypePair,
  sharedByTypePair,
  signByTypePair,
  type TypedNeurons,
  type TypePair,
  typeLabels,
} from "./typePairs.ts";

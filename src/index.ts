// The public interface of axograd: named re-exports, nothing else.

/// <reference lib="esnext.disposable" preserve="true" />

// Graphs and gradients, for dynamics of one's own.
export { Graph } from "./autodiff/graph.ts";
export { lower } from "./autodiff/lower.ts";
export { type GradTarget, pullBack, reverseGraph, type Wrt } from "./autodiff/vjp.ts";
// Devices.
export type { Backend, Bindable, DeviceBuffer, DeviceSparse, MemoryStats } from "./backend/backend.ts";
export { clearUnusedLanes, lanesOf, packState, unpackState } from "./backend/layout.ts";
export type { PanelLayout } from "./backend/program.ts";
export { type BackendSelection, createBackend, DEVICES, type Device } from "./backend/select.ts";
// Runs of the command line.
export { type OpenedRun, type OpenRunOptions, openRun, type RunPlace } from "./cli/openRun.ts";
// Sparse matrices and numbers.
export type { Abortable } from "./core/abort.ts";
export {
  type Coo,
  type Csc,
  type Csr,
  cscOf,
  csrFromCoo,
  csrFromParts,
  mapValues,
  withValues,
} from "./core/csr.ts";
export type { DType, FloatArray } from "./core/dtype.ts";
// Errors.
export {
  ArgumentError,
  BackendError,
  EngineError,
  FileFormatError,
  ShapeError,
  SolverError,
  SparseFormatError,
} from "./core/errors.ts";
// Random draws.
export { deriveKey, type Key, keyOfSeed, RandomStream } from "./core/random.ts";
// Connectomes and images.
export {
  absolute,
  connectomeStatistics,
  createSparseProjection,
  degreePreservingShuffle,
  distanceDecay,
  erdosRenyi,
  erdosRenyiLike,
  growthRate,
  type LogNormalOptions,
  logNormalConnectome,
  neuronsOfRole,
  normaliseRows,
  type RetinotopicConnectome,
  type RetinotopicOptions,
  randomIndices,
  retinotopicConnectome,
  retinotopicProjection,
  type SharedByTypePair,
  sharedByTypePair,
  signByTypePair,
  smallWorld,
  spectralRadiusOfAbsolute,
  stronglyConnectedComponents,
  type TypedNeurons,
  type TypePair,
  topographicConnectome,
  typedConnectome,
  typeLabels,
  weaklyConnectedComponents,
} from "./data/connectomes.ts";
export { type ImageSet, splitTrainValidation, subset } from "./data/imageSet.ts";
export { type Batch, type BatchOptions, batchCount, batches } from "./data/loader.ts";
export { MNIST_MEAN, MNIST_STD, readImageSet, readMnist } from "./data/mnist.ts";
export { syntheticDigits } from "./data/syntheticDigits.ts";
// Files.
export {
  CONNECTOME_EXTENSIONS,
  type ReadConnectomeOptions,
  readConnectome,
  readLabelledConnectome,
  writeConnectome,
} from "./io/connectome.ts";
export { readLabels } from "./io/labels.ts";
export { type NeuronRole, type NeuronTable, readNeuronTable } from "./io/neuronTable.ts";
export { readNpy, writeNpy } from "./io/npy.ts";
export { readNpz, readSparseNpz, writeNpz, writeSparseNpz } from "./io/npz.ts";
export { readSparsePt } from "./io/pt.ts";
export {
  readSafetensors,
  type SafeTensor,
  type SafetensorsFile,
  type SafetensorsType,
  writeSafetensors,
} from "./io/safetensors.ts";
export { readTypeEdges, type TypeEdge, type TypeEdgeOptions } from "./io/typeEdges.ts";
// Models.
export { ACTIVATION_NAMES, activation } from "./models/activation.ts";
export {
  type ActivityProbe,
  type BatchResult,
  type ClassifierEvaluation,
  ConnectomeClassifier,
  type ConnectomeClassifierOptions,
  ConnectomeODEClassifier,
  type ConnectomeODEClassifierOptions,
  type GradientResult,
  type ReadoutOptions,
} from "./models/classifier.ts";
export {
  ConnectomeODERNN,
  type ConnectomeODERNNOptions,
  type EvaluationOptions,
  type FailurePolicy,
  type SolveOptions,
  type Trajectory,
} from "./models/connectomeOdeRnn.ts";
export { ConnectomeRNN, type StepOptions } from "./models/connectomeRnn.ts";
export type { InitialState, InitialStateOptions } from "./models/initialState.ts";
export type { DenseMatrix, Projection } from "./models/matrix.ts";
export type {
  ConnectomeNetworkOptions,
  Dynamics,
  InitialNumbers,
  InputGradients,
  ModelInput,
  SharedWeights,
} from "./models/options.ts";
export { type Constraint, type Parameter, ParameterSet } from "./models/parameters.ts";
export { type SelectedStates, type StateQuery, selectStates } from "./models/selectStates.ts";
export {
  SparseLinear,
  type SparseLinearOptions,
  SparseODERNN,
  type SparseODERNNOptions,
  SparseRNN,
  type SparseRNNOptions,
} from "./models/sparse.ts";
// Ordinary differential equations.
export { Backsolve, type BacksolveGradients, type BacksolveOptions, type BacksolveProblem } from "./ode/backsolve.ts";
export type { Controller, Method, OdeSystem } from "./ode/method.ts";
export {
  assertSolved,
  failedSamples,
  OdeSolver,
  type SolveRequest,
  type SolverOptions,
  type SolveStats,
  type SolveStatus,
} from "./ode/solve.ts";
export { type Tableau, type TableauData, tableau } from "./ode/tableau.ts";
export {
  bosh3,
  dopri5,
  euler,
  exponentialEuler,
  heun,
  rk4,
  TABLEAUS,
  tableauByName,
  tsit5,
} from "./ode/tableaus/index.ts";
export type { TapePlan } from "./ode/tape.ts";
export type { Operand, Ops } from "./ops/op.ts";
export type { Value } from "./ops/value.ts";
// Training.
export {
  type Checkpoint,
  type CheckpointState,
  loadCheckpoint,
  restoreCheckpoint,
  saveCheckpoint,
  type Trained,
} from "./train/checkpoint.ts";
export { type Diagnosis, describeDiagnosis, type Fault, type Finding } from "./train/diagnosis.ts";
export {
  type EvaluationRecord,
  type EvaluationSet,
  evaluationRecord,
  MetricsFile,
  type RunEvent,
} from "./train/metrics.ts";
export {
  Adam,
  type AdamOptions,
  AdamW,
  type ClipOptions,
  Optimizer,
  type OptimizerState,
  SGD,
  type SgdOptions,
} from "./train/optimizer.ts";
export { type CurvePoint, plotCurves, type TrainingCurves } from "./train/plot.ts";
export { Progress, progressLine } from "./train/progress.ts";
export { constant, cosine, oneCycle, type Schedule, stepDecay, warmUp } from "./train/schedule.ts";
export { type ExchangedModel, exportStateDict, importStateDict } from "./train/stateDict.ts";
export {
  type Evaluation,
  type FitOptions,
  type SolverMetrics,
  type StepMetrics,
  type TrainableModel,
  Trainer,
  type TrainerOptions,
  TrainingError,
  type TrainingPosition,
} from "./train/trainer.ts";
export { VERSION } from "./train/version.ts";
export {
  describeWarmStart,
  type InitialisedModel,
  initialiseFrom,
  type Unmatched,
  type WarmStart,
} from "./train/warmStart.ts";

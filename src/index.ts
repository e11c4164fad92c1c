// The public interface of axograd: named re-exports, nothing else.

/// <reference lib="esnext.disposable" preserve="true" />

// Analyses.
export { OutputAverage, type OutputScale, outputScale } from "./analysis/averageOutputs.ts";
export {
  type Amplification,
  type Changes,
  type ChangesOptions,
  changesOf,
  type KnownParameters,
  type NeuronValues,
  type ParameterMove,
  type RecoveredFrom,
  type RecoveredOfNeurons,
} from "./analysis/changes/changes.ts";
export { changesByGroups, type GroupChanges } from "./analysis/changes/changesByGroups.ts";
export { type EffectiveParameter, effectiveParameters } from "./analysis/changes/effectiveParameters.ts";
export { type MatchedConnections, matchConnections } from "./analysis/changes/matchConnections.ts";
export { type NeuronChanges, neuronChanges } from "./analysis/changes/neuronChanges.ts";
export { type Density, type Recovered, recoveredParameters } from "./analysis/changes/recoveredParameters.ts";
export { type SignedTotals, type SignMixing, signMixing } from "./analysis/changes/signMixing.ts";
export {
  type Histogram,
  type LogRatios,
  type WeightChange,
  type WeightChangeOptions,
  weightChange,
} from "./analysis/changes/weightChange.ts";
export type { ComparedNumbers } from "./analysis/comparedNumbers.ts";
export {
  type Conditions,
  conditionsByClass,
  conditionsByNumber,
  conditionsByTarget,
  conditionsByText,
  oneCondition,
} from "./analysis/conditions.ts";
export {
  angleBetween,
  type DirectionTuning,
  directionTuning,
  EDGE_PROBE,
  EDGES,
  type EdgeName,
  type EdgeProbe,
  type EdgeProbeOptions,
  type EdgeResponses,
  type EdgeTuning,
  probeEdges,
} from "./analysis/directionTuning.ts";
export {
  type Agreement,
  type ClusterMetric,
  distributionDistance,
  type EnsembleMeasures,
  type EnsembleStatistics,
  ensembleStatistics,
  type MemberMetric,
  type MemberNumbers,
  type MemberSpread,
  type MemberValues,
  type ParameterSpread,
  type SolutionCluster,
  type Solutions,
} from "./analysis/ensemble.ts";
export type {
  DistributionSpread,
  EnsembleAnalysis,
  EnsemblePrediction,
  EnsembleResponses,
  EnsembleResult,
} from "./analysis/ensembleResult.ts";
export {
  type FieldSummary,
  fieldThreshold,
  type InputPlaces,
  inputPlaces,
  type PlacesOfInputs,
  summariseField,
} from "./analysis/fieldSummary.ts";
export { type MovingEdgeOptions, type MovingEdges, movingEdges } from "./analysis/movingEdges.ts";
export {
  type ModelMeasures,
  type Perturbation,
  type PerturbationEffect,
  type PerturbationResult,
  type PerturbOptions,
  type PerturbProgress,
  perturb,
  worstFirst,
} from "./analysis/perturb.ts";
export {
  type FieldEvaluation,
  type ReceptiveFieldOptions,
  type ReceptiveFields,
  receptiveFields,
} from "./analysis/receptiveFields.ts";
export {
  type ResponseMeasure,
  ResponseSums,
  type ResponseSumsOptions,
  type Responses,
  type ResponsesByCondition,
  responseOf,
  responsesByCondition,
  type Selectivity,
  selectivity,
} from "./analysis/responses.ts";
export {
  type Explained,
  type FieldShape,
  fieldStandardError,
  type LinearFields,
  LinearPrediction,
  ReverseCorrelation,
} from "./analysis/reverseCorrelation.ts";
export { type NoiseMaker, type NoiseOptions, whiteNoise } from "./analysis/whiteNoise.ts";
// Graphs and gradients, for dynamics of one's own.
export { type Effect, Graph, type GraphInput } from "./autodiff/graph.ts";
export { type GuardNames, lower } from "./autodiff/lower.ts";
export { type GradTarget, pullBack, type ReverseGraph, reverseGraph, type Wrt } from "./autodiff/vjp.ts";
// Devices.
export type {
  Backend,
  Bindable,
  BoundProgram,
  DeviceBuffer,
  DeviceSparse,
  Executable,
  MemoryStats,
  Traffic,
} from "./backend/backend.ts";
export type { Bindings, Desk, Part, UnusedLanes } from "./backend/desk.ts";
export { GATHERS, type Gather } from "./backend/gather.ts";
export type { PhaseKind } from "./backend/kinds.ts";
export { clearUnusedLanes, lanesOf, packState, unpackState } from "./backend/layout.ts";
export type {
  Binding,
  BindingId,
  BindingKind,
  Guard,
  Instr,
  Kind,
  PanelLayout,
  Phase,
  Program,
  Purpose,
} from "./backend/program.ts";
export { type Answers, type PeakMemory, type Rehearsal, rehearse } from "./backend/rehearsal.ts";
export { type BackendSelection, createBackend, DEVICES, type Device } from "./backend/select.ts";
export { tuneSparse } from "./backend/tuneSparse.ts";
export type { SparseTuning } from "./backend/webgpu/sparseTuning.ts";
export type { TuneOptions, TuningResult, TuningTrial } from "./backend/webgpu/tuningResult.ts";
// Sparse matrices and numbers.
export type { Abortable } from "./core/abort.ts";
export {
  type Coo,
  type Csc,
  type Csr,
  cscOf,
  csrFromCoo,
  csrFromParts,
  type IndexArray,
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
  InvariantError,
  ShapeError,
  SolverError,
  SparseFormatError,
} from "./core/errors.ts";
// Random draws.
export { deriveKey, type Key, keyOfSeed, RandomStream } from "./core/random.ts";
export type { Releasable } from "./core/release.ts";
export type { NeuronColumn, SelectorPlace } from "./core/selector.ts";
export type { SelectorCandidates } from "./core/selectorSets.ts";
// Connectomes and samples.
export type { TargetShape } from "./core/targets.ts";
export { VERSION } from "./core/version.ts";
export { arraySamples, type SampleArraysInput } from "./data/arraySamples.ts";
export type { Components } from "./data/components.ts";
export {
  absolute,
  connectomeStatistics,
  createSparseProjection,
  degreePreservingShuffle,
  distanceDecay,
  erdosRenyi,
  erdosRenyiLike,
  groupInput,
  groupReadout,
  growthRate,
  HexagonalEye,
  type HexagonalNeurons,
  type HexagonalOffset,
  hexagonalEyeOf,
  hexagonalInput,
  hexagonalOffsets,
  hexagonalReadout,
  hexConvolution,
  type LogNormalOptions,
  logNormalConnectome,
  type MotionConnectome,
  type MotionConnectomeOptions,
  motionConnectome,
  neuronsOfRole,
  normaliseRows,
  normaliseTypes,
  type RetinotopicConnectome,
  type RetinotopicOptions,
  randomGroups,
  randomIndices,
  retinotopicConnectome,
  retinotopicProjection,
  type SharedByTypeOffset,
  type SharedByTypePair,
  type SharedPattern,
  sharedByTypeOffset,
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
export {
  CONTROL_NAMES,
  CONTROLS,
  type Control,
  type ControlName,
  type ControlOptions,
  type ControlReport,
  checkControl,
  type MadeControl,
  makeControl,
} from "./data/controls.ts";
export type { DegreeShuffleOptions } from "./data/degreePreservingShuffle.ts";
export type { DistanceDecayOptions } from "./data/distanceDecay.ts";
export type { ErdosRenyiOptions } from "./data/erdosRenyi.ts";
export { largestComponent, type StepDirection, withinSteps } from "./data/graphDistance.ts";
export { type ImageSampleOptions, imageSamples } from "./data/imageSamples.ts";
export { type ImageSet, splitTrainValidation, subset } from "./data/imageSet.ts";
export {
  type ChangedMeasure,
  checkInvariant,
  compareMeasure,
  INVARIANTS,
  type Invariant,
  type InvariantContext,
  type InvariantMeasure,
  type InvariantName,
  type KeptMeasure,
} from "./data/invariants.ts";
export type { Lengths } from "./data/lengths.ts";
export {
  type Batch,
  type Batches,
  type BatchOptions,
  batchCount,
  batches,
  firstSamples,
  type StreamBatch,
  streamBatches,
} from "./data/loader.ts";
export { MNIST_MEAN, MNIST_NORMALISATION, MNIST_STD, readImageSet, readMnist } from "./data/mnist.ts";
export { type NamedNeurons, nearestToCentre, neuronsByColumn } from "./data/neuronGroups.ts";
export { type OpenedSamples, type OpenSamplesOptions, openSamples } from "./data/openSamples.ts";
export type { PlacedNeurons } from "./data/retinotopicConnectome.ts";
export { type Mixing, type Rewired, type RewireOptions, rewire } from "./data/rewire.ts";
export type { PartName } from "./data/sampleArrays.ts";
export { constantLoss, type SampleStatistics, type Spread } from "./data/sampleChecks.ts";
export {
  type SampleSet,
  type SampleShape,
  type SampleStream,
  type Samples,
  subsetOfSamples,
} from "./data/sampleSet.ts";
export type { SampleSets, SampleSetsOptions } from "./data/sampleSets.ts";
export { type SampleStreamOptions, sampleStream } from "./data/sampleStream.ts";
export { candidatesOf, countTypes, type SelectableNeurons, selectNeurons, type TypeCount } from "./data/selectors.ts";
export {
  collapseWeights,
  type ShuffleMagnitudesOptions,
  type ShuffleSignsOptions,
  shuffleMagnitudes,
  shuffleSigns,
} from "./data/shuffleWeights.ts";
export type { SmallWorldOptions } from "./data/smallWorld.ts";
export type { SpectralEstimate, SpectralOptions } from "./data/spectralRadius.ts";
export type { ConnectomeStatistics, Distribution } from "./data/statistics.ts";
export { syntheticDigits } from "./data/syntheticDigits.ts";
export { TASK_SETS } from "./data/tasks/index.ts";
export type { Places } from "./data/tasks/movingScene.ts";
export type {
  GeneratedTask,
  KnownAnswer,
  TaskChoice,
  TaskNetwork,
  TaskNumber,
  TaskOption,
  TaskParts,
  TaskRequest,
  TaskSet,
} from "./data/tasks/taskSet.ts";
export { type Recovery, recovery, type Teacher, type TeacherDynamics } from "./data/tasks/teacherNetwork.ts";
export type { TopographicOptions } from "./data/topographicConnectome.ts";
export type { TypedConnectome, TypedOptions } from "./data/typedConnectome.ts";
export { writeSamples } from "./data/writeSamples.ts";
// Several processes.
export { type Communicator, SOLO } from "./distributed/communicator.ts";
export { withoutLauncher } from "./distributed/launcher.ts";
export { openCommunicator } from "./distributed/open.ts";
export {
  type ExplainedBinding,
  type ExplainedDispatch,
  type ExplainedPhase,
  type ExplainForm,
  type ExplainOptions,
  explainProgram,
  type ProgramExplanation,
} from "./explain/explain.ts";
export { ProgramRecorder, type RecordedProgram } from "./explain/recorder.ts";
// Published data sets.
export type { IdDecision, IdPolicy } from "./import/idPolicy.ts";
export {
  type ImportedConnectome,
  type ImportOptions,
  type ImportReport,
  importConnectome,
} from "./import/importConnectome.ts";
export type { ColumnChoice } from "./import/layouts/layout.ts";
export type { Sign, SignCount, UnclearPolicy } from "./import/signs.ts";
export type { EdgeCounts, NeuronIds } from "./import/types.ts";
// Files.
export {
  CONNECTOME_EXTENSIONS,
  type ReadConnectomeOptions,
  readConnectome,
  readLabelledConnectome,
  writeConnectome,
} from "./io/connectome.ts";
export type { ConnectomeContent, ConnectomeFileParts } from "./io/connectomeFile.ts";
export type { Column, TableFormat } from "./io/delimited.ts";
export type { EdgeColumns, EdgeListOptions } from "./io/edgeList.ts";
export type { EdgeList, NeuronId, NeuronIdOptions } from "./io/edgeListBuilder.ts";
export { type FileHash, type HashedFile, hashOf } from "./io/hash.ts";
export { type NeuronLabels, type ReadLabelsOptions, readLabels } from "./io/labels.ts";
export type { ExtentOptions } from "./io/limits.ts";
export {
  type NeuronRole,
  type NeuronTable,
  type ReadNeuronTableOptions,
  readNeuronTable,
  type WriteNeuronTableOptions,
  writeNeuronTable,
} from "./io/neuronTable.ts";
export { type NpyArray, type NpyInput, readNpy, writeNpy } from "./io/npy.ts";
export { type ReadNpzOptions, readNpz, readSparseNpz, writeNpz, writeSparseNpz } from "./io/npz.ts";
export type { NumberArray, NumberType } from "./io/numbers.ts";
export { openTable, TABLE_EXTENSIONS } from "./io/openTable.ts";
export type { Provenance, ProvenanceStep } from "./io/provenance.ts";
export { type ReadPtOptions, readSparsePt } from "./io/pt.ts";
export {
  readSafetensors,
  type SafeTensor,
  type SafetensorsFile,
  type SafetensorsType,
  type StreamedTensor,
  type TensorPiece,
  writeSafetensors,
} from "./io/safetensors.ts";
export type {
  CellForm,
  Cells,
  IdCells,
  NullMask,
  NumberCells,
  ReadProgress,
  ReadTableOptions,
  TableBatch,
  TableColumn,
  TableFile,
  TextCells,
  WantedColumn,
} from "./io/tableFile.ts";
export type { TextTableOptions } from "./io/textTableFile.ts";
export { readTypeEdges, type TypeEdge, type TypeEdgeOptions } from "./io/typeEdges.ts";
export { type ArrayToWrite, type StreamedArray, type WriteArraysOptions, writeArrays } from "./io/writeArrays.ts";
// Models.
export { ACTIVATION_NAMES, type Activation, activation } from "./models/activation.ts";
export {
  type BatchResult,
  type ClassifierEvaluation,
  type ClassifierOptions,
  ConnectomeClassifier,
  type ConnectomeClassifierOptions,
  ConnectomeODEClassifier,
  type ConnectomeODEClassifierOptions,
  type GradientResult,
  type Labels,
  NetworkClassifier,
} from "./models/classifier.ts";
export type { ConnectomeNetwork } from "./models/connectomeNetwork.ts";
export {
  ConnectomeODERNN,
  type ConnectomeODERNNOptions,
  type EvaluationOptions,
  type SolveOptions,
  type Trajectory,
} from "./models/connectomeOdeRnn.ts";
export {
  ConnectomeRNN,
  type ConnectomeRNNOptions,
  type StepOptions,
  type StepSettings,
} from "./models/connectomeRnn.ts";
export type { Constraint } from "./models/constraint.ts";
export type { EvaluationSchedule } from "./models/evaluationTimes.ts";
export type { FailurePolicy } from "./models/failures.ts";
export type { InitialState, InitialStateOptions, RestState } from "./models/initialState.ts";
export type { Clamp, DrivenNeurons, Intervened, Interventions } from "./models/interventions.ts";
export type { LossAndCotangents, SampleLoss, SampleOutputs } from "./models/lossCotangents.ts";
export type { DenseMatrix, Projection } from "./models/matrix.ts";
export type { AdjustDrive, ChunkInput } from "./models/network/chunkInput.ts";
export type {
  ActiveInterventions,
  ChunkBuffers,
  ChunkGradients,
  ChunkStates,
  InputCotangent,
  NetworkChunk,
  SettledChunk,
  StartedChunk,
} from "./models/network/chunks.ts";
export type { Evolution, RunPurpose, RunShape } from "./models/network/evolution.ts";
export type { NetworkOutputs } from "./models/network/hostBatch.ts";
export type { Evaluated, Network } from "./models/network/network.ts";
export type { NetworkParameters } from "./models/network/parameters.ts";
export {
  type BatchPart,
  ConnectomeModel,
  type ConnectomeModelOptions,
  ConnectomeODEModel,
  type ConnectomeODEModelOptions,
  type ModelOptions,
  NetworkModel,
  type PartGradients,
  type ReadPlan,
} from "./models/networkModel.ts";
export type { ChoosableNeurons, NeuronChoice } from "./models/neuronChoice.ts";
export type { Label, NeuronClassName, NeuronTypes, PerNeuron } from "./models/neuronTypes.ts";
export type {
  ConnectomeNetworkOptions,
  Dynamics,
  Gate,
  GateWeights,
  InitialNumbers,
  InputGradients,
  ListMode,
  ModelInput,
  SharedWeights,
} from "./models/options.ts";
export type {
  DrawnValues,
  GivenValues,
  Parameter,
  ParameterElement,
  ParameterFacts,
  ParameterRole,
  ParameterSpec,
  SharedValues,
} from "./models/parameters/parameter.ts";
export { type ParameterOptions, ParameterSet, type SetOptions } from "./models/parameters/parameterSet.ts";
export type { ParameterPattern } from "./models/parameters/pattern.ts";
export type { RateShape } from "./models/rateDynamics.ts";
export type { ActivityProbe, GatherFeatures } from "./models/readout/features.ts";
export type {
  DropoutLayer,
  LinearLayer,
  ReadoutLayer,
  ReadoutOptions,
  ReluLayer,
  SparseLayer,
} from "./models/readout/layers.ts";
export type { FeatureSpread, ResponseShares } from "./models/readout/responses.ts";
export type { ReadoutTimes } from "./models/readout/times.ts";
export { type RecordedActivity, type RecordOptions, recordActivity } from "./models/recordActivity.ts";
export type { SampleRows } from "./models/samples.ts";
export {
  type SelectedStates,
  type StateArray,
  type StateLayout,
  type StateQuery,
  selectStates,
} from "./models/selectStates.ts";
export {
  SparseLinear,
  type SparseLinearOptions,
  SparseODERNN,
  type SparseODERNNOptions,
  SparseRNN,
  type SparseRNNOptions,
} from "./models/sparse.ts";
// Tasks.
export { absoluteError } from "./models/task/losses/absolute.ts";
export { type BinaryCrossEntropyOptions, binaryCrossEntropy } from "./models/task/losses/binaryCrossEntropy.ts";
export { type CrossEntropyOptions, crossEntropy } from "./models/task/losses/crossEntropy.ts";
export { type HuberOptions, huber } from "./models/task/losses/huber.ts";
export { LOSS_NAMES, LOSSES, type LossName, lossByName } from "./models/task/losses/index.ts";
export { type NormOptions, norm } from "./models/task/losses/norm.ts";
export { ordinal } from "./models/task/losses/ordinal.ts";
export { poisson } from "./models/task/losses/poisson.ts";
export { squaredError } from "./models/task/losses/squared.ts";
export { classification, makeTask, type TaskOptions } from "./models/task/makeTask.ts";
export { endpointError } from "./models/task/metrics/endpointError.ts";
export { METRIC_NAMES, METRICS, metricByName } from "./models/task/metrics/index.ts";
export type { Measurement, TaskGradients, TaskResult, WholeBatch } from "./models/task/passes.ts";
export {
  type Activity,
  type ActivityPenalty,
  activityPenalty,
  type PenaltyOptions,
  rateL1,
  rateL2,
} from "./models/task/penalties.ts";
export { classOf } from "./models/task/predictedClass.ts";
export { addSums, emptySums, type MetricSums, metricValues, perOutput } from "./models/task/sums.ts";
export type { TargetBatch } from "./models/task/targets.ts";
export type { Judged, Loss, Metric, Prediction, Task } from "./models/task/task.ts";
// Ordinary differential equations.
export type { FieldInputs, FieldOptions } from "./ode/adjointField.ts";
export { Backsolve, type BacksolveGradients, type BacksolveOptions, type BacksolveProblem } from "./ode/backsolve.ts";
export type {
  HostGradients,
  HostInput,
  HostProblem,
  HostSolution,
  HostTimes,
  SampleCotangents,
  StateCotangents,
} from "./ode/hostProblem.ts";
export type {
  AdaptiveController,
  Controller,
  EvaluationTime,
  FixedController,
  IntegralController,
  Method,
  OdeSystem,
  PidController,
  ReplayController,
} from "./ode/method.ts";
export type { ReverseOptions, ReversePrograms, SeveralPointsPrograms, SolverPrograms } from "./ode/programs.ts";
export type { SolveRequest, SolverOptions, StartedSolve } from "./ode/request.ts";
export { OdeSolver } from "./ode/solve.ts";
export { assertSolved, failedSamples, type SolveStats, type SolveStatus } from "./ode/solveStats.ts";
export { type StepValues, type Tableau, type TableauData, tableau } from "./ode/tableau.ts";
export {
  bosh3,
  dopri5,
  euler,
  exponentialEuler,
  heun,
  type MethodName,
  rk4,
  TABLEAUS,
  tableauByName,
  tsit5,
} from "./ode/tableaus/index.ts";
export type { TapePlan } from "./ode/tape.ts";
export type { Matrix, Op, Shape, Table, Value } from "./ops/value.ts";
// Operations.
export type { BinaryOp, BinaryOps, Operand, Ops, UnaryOp, UnaryOps } from "./ops/vocabulary.ts";
// Pictures.
export type { CurvePoint, Curves } from "./report/plots/curves.ts";
export { plotCurves, type TrainingCurves } from "./report/trainingCurves.ts";
// Runs of the command line.
export type {
  Assignments,
  BaselineName,
  Hyphenated,
  LossChoice,
  NamedNetwork,
  NetworkSize,
  SolverName,
  TrainConfig,
} from "./run/config.ts";
export { type MeasureOptions, measureEnsemble } from "./run/ensemble/measureEnsemble.ts";
export {
  type Ensemble,
  type EnsembleMember,
  type EnsembleOptions,
  type LeftOut,
  type OpenedMember,
  openEnsemble,
  type SettingDifference,
} from "./run/ensemble/openEnsemble.ts";
export type { RunEvaluation, RunModel } from "./run/experiment.ts";
export type { FileRole, InputFile } from "./run/inputFiles.ts";
export { readKnownParameters, teacherParameters } from "./run/knownParameters.ts";
export { type OpenedRun, type OpenRunOptions, openRun, type RunPlace } from "./run/openRun.ts";
export { type PredictedBatch, type Predictions, type PredictOptions, predict, predictAll } from "./run/predict.ts";
export { createRankBackend, type RankBackendOptions } from "./run/rankBackend.ts";
export { type ResponsesOptions, responsesOf } from "./run/responses.ts";
export type { LoadOptions, LoadProgress, SampleSplits, TargetCounts } from "./run/samples.ts";
export { type SamplesFor, type SamplesForOptions, samplesFor } from "./run/samplesFor.ts";

// Statistics.
export {
  correlation,
  correlationMatrix,
  type IntraclassCorrelation,
  intraclassCorrelation,
} from "./stats/agreement.ts";
export {
  averageLinkage,
  type ClusterCount,
  type Clusters,
  cluster,
  type Merge,
  silhouettes,
} from "./stats/clusters.ts";
// Training.
export {
  type Checkpoint,
  type CheckpointClassifier,
  type CheckpointModel,
  type CheckpointNetwork,
  type CheckpointState,
  loadCheckpoint,
  restoreCheckpoint,
  saveCheckpoint,
  type Trained,
} from "./train/checkpoint.ts";
export {
  type Diagnosis,
  describeDiagnosis,
  type Fault,
  type Finding,
  type GradientGroup,
  type Remedy,
} from "./train/diagnosis.ts";
export { EarlyStopping, type EarlyStoppingOptions, type EarlyStoppingState } from "./train/earlyStopping.ts";
export {
  type EvaluationRecord,
  type EvaluationSet,
  evaluationRecord,
  MetricsFile,
  type RecordedStep,
  type ResumedMetrics,
  type RunEvent,
} from "./train/metrics.ts";
export {
  Adam,
  type AdamOptions,
  AdamW,
  type ClipOptions,
  Optimizer,
  type OptimizerOptions,
  type OptimizerState,
  type ParameterGroup,
  RMSprop,
  type RmspropOptions,
  SGD,
  type SgdOptions,
} from "./train/optimizer.ts";
export type { ChosenElements, PatternScope } from "./train/parameterElements.ts";
export {
  ParameterPenalties,
  type ParameterPenalty,
  PENALTY_KINDS,
  type PenaltyGraph,
  type PenaltyKind,
} from "./train/parameterPenalties.ts";
export { Progress, type ProgressOptions, type ProgressStream, progressLine } from "./train/progress.ts";
export { constant, cosine, oneCycle, type Schedule, stepDecay, warmUp } from "./train/schedule.ts";
export {
  type Exchanged,
  type ExchangedModel,
  type ExchangedNetwork,
  exportStateDict,
  importStateDict,
} from "./train/stateDict.ts";
export {
  describeTask,
  type Judgement,
  type LossDescription,
  type MetricDescription,
  type MetricValues,
  type TaskDescription,
} from "./train/taskDescription.ts";
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
export {
  describeWarmStart,
  type InitialisedModel,
  initialiseFrom,
  type Unmatched,
  type WarmStart,
  type WarmStartOptions,
} from "./train/warmStart.ts";

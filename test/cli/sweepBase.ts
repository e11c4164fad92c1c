/** The start of sweep files whose runs take seconds; more settings of the base may follow. */
export const SMALL_BASE = `base:
  generate: 900x5000
  trainSamples: 64
  validationSamples: 16
  testSamples: 24
  batchSize: 16
  calibration: 32
  device: wasm
`;

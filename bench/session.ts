// A child's job: the network, the device under test, and the conversion of measurements into rows.

import type { Backend } from "../src/backend/backend.ts";
import { createBackend } from "../src/backend/select.ts";
import { type Cost, totalBytes } from "../src/profile/cost.ts";
import { type StepProfile, StepProfiler } from "../src/profile/stepProfile.ts";
import type { Answer, SuiteJob } from "./job.ts";
import { type Effort, FULL_EFFORT, QUICK_EFFORT } from "./measure.ts";
import { Meter } from "./meter.ts";
import { loadNetwork, type Network } from "./networks.ts";
import { allowedSeconds } from "./roofline/roofline.ts";
import type { Row, SuiteName, Timing } from "./row.ts";

/** Data of a row besides its times. */
export interface RowFacts {
  readonly op: string;
  readonly batch: number;
  /** null if no formula applies. */
  readonly cost: Cost | null;
  readonly rhsEvaluations?: number;
  readonly maxRssBytes?: number;
}

/** A peer's name and threads. */
export interface PeerFacts {
  readonly name: string;
  readonly threads: number;
}

export class BenchSession {
  readonly job: SuiteJob;
  readonly suite: SuiteName;
  readonly network: Network;
  readonly effort: Effort;
  readonly meter: Meter;
  /** null without --profile. */
  readonly profiler: StepProfiler | null;
  readonly #send: (answer: Answer) => void;
  readonly #adapter: string | null;

  private constructor(job: SuiteJob, suite: SuiteName, backend: Backend, send: (answer: Answer) => void) {
    this.job = job;
    this.suite = suite;
    this.network = loadNetwork(job.folder);
    const effort = job.quick ? QUICK_EFFORT : FULL_EFFORT;
    this.effort = { ...effort, rounds: job.rounds ?? effort.rounds };
    this.profiler = job.profile ? new StepProfiler(backend) : null;
    this.meter = new Meter(this.profiler?.backend ?? backend);
    this.#adapter = backend.name === "webgpu" ? backend.description : null;
    this.#send = send;
  }

  static async open(job: SuiteJob, suite: SuiteName, send: (answer: Answer) => void): Promise<BenchSession> {
    const { device, dtype, threads, profile } = job;
    if (device === "webgpu") {
      // Without a system adapter a software adapter is loaded, which its rows name. Never loaded while the CPU is timed.
      const { testAdapter } = await import("../test/support/softwareAdapter.ts");
      await testAdapter();
    }
    return new BenchSession(job, suite, await createBackend({ device, dtype, threads, profile }), send);
  }

  /** The device under test; what runs on it is counted by `meter`. */
  get backend(): Backend {
    return this.meter.backend;
  }

  note(text: string): void {
    this.#send({ type: "note", text: `${this.network.name}: ${text}` });
  }

  refuse(text: string): void {
    this.#send({ type: "refused", text: `${this.network.name}: ${text}` });
  }

  profile(batch: number, profile: StepProfile): void {
    const { threads } = this.job;
    this.#send({
      type: "profile",
      profile: { ...profile, suite: this.suite, network: this.network.name, batch, threads },
    });
  }

  /** Reports a measurement of axograd. */
  row(facts: RowFacts, timing: Timing): void {
    const { roofline, threads } = this.job;
    const { cost } = facts;
    const peakBytes = this.backend.memory().peakBytes;
    this.#send({
      type: "row",
      row: {
        ...this.#common(facts, timing),
        backend: this.backend.name,
        bytes: cost && totalBytes(cost),
        gflops: cost && cost.flops / timing.medianS / 1e9,
        gbps: cost && totalBytes(cost) / timing.medianS / 1e9,
        fractionOfRoofline: cost && roofline && allowedSeconds(cost, roofline) / timing.medianS,
        peakBytes,
        maxRssBytes: facts.maxRssBytes ?? null,
        adapter: this.#adapter,
        threads,
        peer: null,
        ratio: null,
      },
    });
  }

  /** Reports a measurement of a peer, made in turns with `ours`. */
  peerRow(facts: RowFacts, peer: PeerFacts, timing: Timing, ours: Timing): void {
    const { cost } = facts;
    this.#send({
      type: "row",
      row: {
        ...this.#common(facts, timing),
        backend: peer.name,
        bytes: null,
        // The work is the same; the peer's traffic is unknown.
        gflops: cost && cost.flops / timing.medianS / 1e9,
        gbps: null,
        fractionOfRoofline: null,
        peakBytes: null,
        maxRssBytes: null,
        adapter: null,
        threads: peer.threads,
        peer: peer.name,
        ratio: timing.medianS / ours.medianS,
      },
    });
  }

  #common({ op, batch, rhsEvaluations = 0 }: RowFacts, { medianS, minS, rmePct, samples }: Timing) {
    const { csr, name } = this.network;
    const { dtype, machine } = this.job;
    const { cpu, node, commit } = machine;
    return {
      suite: this.suite,
      op,
      network: name,
      dtype,
      dims: { neurons: csr.nRows, connections: csr.nnz, batch },
      medianS,
      minS,
      rmePct,
      samples,
      rhsEvaluations: rhsEvaluations || null,
      cpu,
      node,
      commit,
    } satisfies Partial<Row>;
  }

  dispose(): Promise<void> {
    return this.backend.dispose();
  }
}

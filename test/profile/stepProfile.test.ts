import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, BoundProgram } from "../../src/backend/backend.ts";
import { phaseKind } from "../../src/backend/kinds.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { Subject } from "../../src/check/subject.ts";
import { discreteSubject, sequenceSubject } from "../../src/check/taskSubjects.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { observed } from "../../src/profile/observed.ts";
import { describeProfile, ROW_NAMES, type StepProfile, StepProfiler } from "../../src/profile/stepProfile.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { tinyTraining } from "../train/fixtures.ts";

const test = suite("profile of a step");

interface Profiled {
  readonly profile: StepProfile;
  /** What ran in the profiled step. */
  readonly ran: readonly BoundProgram[];
}

/** The profile of the second step of a tiny training. */
async function profiledStep(inner: Backend): Promise<Profiled> {
  const ran: BoundProgram[] = [];
  const profiler = new StepProfiler(inner);
  const backend = observed(profiler.backend, { ran: (bound) => void ran.push(bound) });
  const { trainer, dispose } = tinyTraining(backend);
  let profile: StepProfile | null = null;
  for await (const { step, seconds } of trainer.fit({ steps: 2 })) {
    if (step === 2) profile = await profiler.take(1000 * seconds);
    else {
      await profiler.discard();
      ran.length = 0;
    }
  }
  dispose();
  await inner.dispose();
  return { profile: profile!, ran };
}

function row({ rows }: StepProfile, name: string): StepProfile["rows"][number] {
  return rows.find((r) => r.name === name)!;
}

/** The rows add up to the step, none is negative, and every phase of every program that ran is in one of them. */
function checkWhole({ profile, ran }: Profiled): void {
  assert.equal(
    profile.rows.map(({ name }) => name),
    [...ROW_NAMES],
  );
  const sum = profile.rows.reduce((total, { ms }) => total + ms, 0);
  assert.ok(profile.ms > 0 && Math.abs(sum - profile.ms) < 1e-9 * profile.ms, `${sum} of ${profile.ms} ms`);
  for (const { name, ms } of profile.rows) assert.ok(ms >= 0, `${name}: ${ms} ms`);
  const kernels = profile.rows.filter(({ name }) => name !== "fill and copy");
  const phases = ran.reduce((total, { executable }) => total + executable.program.phases.length, 0);
  assert.is(
    kernels.reduce((total, { runs }) => total + runs, 0),
    phases,
  );
  const programs = new Set(ran.map(({ executable }) => executable.program.name));
  assert.equal([...new Set(kernels.flatMap((r) => r.programs))].sort(), [...programs].sort());
  for (const { executable } of ran) assert.ok(executable.program.purpose, `${executable.program.name} has a purpose`);
  for (const name of ["spmm", "fused backward", "gemm", "pointwise", "reductions", "refresh", "optimiser"]) {
    const { runs, bytes } = row(profile, name);
    assert.ok(runs > 0 && bytes! > 0, name);
  }
  assert.ok(row(profile, "read-out").runs > 0);
  assert.ok(row(profile, "fill and copy").bytes! > 0);
}

for (const threads of [1, 2]) {
  test(`wasm, ${threads} threads: the rows are the whole step, and what ran is timed`, async () => {
    const { profile, ran } = await profiledStep(await createWasmBackend({ threads, profile: true }));
    checkWhole({ profile, ran });
    assert.ok(profile.kernelsTimed);
    for (const { name, programs, ms } of profile.rows) {
      if (programs.length > 0) assert.ok(ms > 0, `${name} took some time`);
    }
    const sparse = ran.flatMap(({ executable: { program } }) =>
      program.purpose === "readout"
        ? []
        : program.phases.filter((phase) => phaseKind(program, phase) === "matmul sparse"),
    );
    assert.is(row(profile, "spmm").runs, sparse.length);
  });
}

test("discrete time, sparse read-outs and penalties: every program is in the rows of what it is for", async () => {
  const network = logNormalConnectome({ neurons: 40, connections: 250, seed: 1 });
  const programsOf = async (subject: Subject) => {
    const inner = await createWasmBackend({ threads: 1, profile: true });
    const profiler = new StepProfiler(inner);
    const opened = subject.open(profiler.backend, null);
    await opened.evaluate(subject.point, { gradients: true });
    const profile = await profiler.take(1e3);
    opened.dispose();
    await inner.dispose();
    return (name: string) => row(profile, name).programs;
  };
  const discrete = await programsOf(discreteSubject("discrete", network, 1));
  // "output" makes the trajectory that is compared.
  assert.equal(discrete("spmm"), ["output", "project", "step", "step.recorded"]);
  assert.equal(discrete("fused backward"), ["project.reverse", "step.reverse"]);
  const judging = ["penalties", "penalties.parameters", "penalties.train", "readout", "readout.train"];
  assert.equal(discrete("read-out"), judging);
  assert.equal(discrete("gemm"), []);
  const sequence = await programsOf(sequenceSubject("sequence", network, 1));
  assert.equal(sequence("read-out"), [...judging, "readout.mean", "readout.mean.reverse"].sort());
  for (const name of ["spmm", "fused backward"]) {
    const own = sequence(name).filter((program) => !/^(project|attempt|init|dense|output)/.test(program));
    assert.equal(own, [], name);
  }
});

test("a table has a line per row, and one for the whole", async () => {
  const { profile } = await profiledStep(await createWasmBackend({ threads: 1, profile: true }));
  const lines = describeProfile(profile);
  assert.is(lines.length, ROW_NAMES.length + 3);
  for (const [i, name] of ROW_NAMES.entries()) assert.ok(lines[i + 2]!.startsWith(name));
  assert.match(lines.at(-1)!, /^whole step .*100\.0 %/);
});

test("a profile starts empty after the last one", async () => {
  const inner = await createWasmBackend({ threads: 1, profile: true });
  const profiler = new StepProfiler(inner);
  const buffer = profiler.backend.buffer("x", 10);
  profiler.backend.fill(buffer, 1);
  const first = await profiler.take(1);
  assert.equal([row(first, "fill and copy").runs, row(first, "fill and copy").bytes], [1, 40]);
  const second = await profiler.take(1);
  assert.equal(
    second.rows.map(({ ms, runs }) => [ms, runs]),
    ROW_NAMES.map((name) => [name === "host" ? 1 : 0, 0]),
  );
  await inner.dispose();
});

const adapter = await requireTestAdapter();
if (adapter) {
  test("webgpu: phases and bytes by kind; times where the adapter has timestamps", async () => {
    const { profile, ran } = await profiledStep(await createWebGpuBackend({ profile: true }));
    checkWhole({ profile, ran });
    assert.is(profile.kernelsTimed, adapter.features.includes("timestamp-query"));
    assert.is(row(profile, "spmm").ms > 0, profile.kernelsTimed);
    assert.ok(row(profile, "waiting").ms > 0 || profile.kernelsTimed);
  });
}

test.run();

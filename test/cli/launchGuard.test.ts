// Commands as one of several processes: what runs there, what is refused, and that it is said once.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RANK_MARK } from "../../src/distributed/launcher.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd, type Finished } from "./process.ts";

const test = suite("launch guard");
const dir = tempDir();

type Variables = Readonly<Record<string, string>>;

/** What launchers say to rank r of n. */
const LAUNCHERS: Readonly<Record<string, (rank: number, size: number) => Variables>> = {
  "mpirun of Open MPI": (r, n) => ({ OMPI_COMM_WORLD_RANK: `${r}`, OMPI_COMM_WORLD_SIZE: `${n}` }),
  "mpirun of MPICH": (r, n) => ({ PMI_RANK: `${r}`, PMI_SIZE: `${n}` }),
  "srun of Slurm": (r, n) => ({
    ...{ SLURM_JOB_ID: "7", SLURM_STEP_ID: "0", SLURM_PROCID: `${r}` },
    ...{ SLURM_NTASKS: `${n}`, SLURM_STEP_NUM_TASKS: `${n}` },
  }),
};

/** `axograd <args>` with the variables of a launcher. */
async function launched(variables: Variables, ...args: readonly string[]): Promise<Finished> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    return await axograd(args, { cwd: dir });
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

for (const [launcher, of] of Object.entries(LAUNCHERS)) {
  test(`${launcher}: a command for one process is refused, by rank 0 alone`, async () => {
    const first = await launched(of(0, 4), "init", "plan.yaml");
    assert.is(first.code, 2);
    assert.match(
      first.stderr,
      /^axograd: init: expected one process, got rank 0 of 4, started by .*\(train, sweep, controls/,
    );
    assert.match(first.stderr, launcher.replace(" of MPICH", ""));
    const other = await launched(of(1, 4), "init", "plan.yaml");
    assert.equal(other, { code: 0, stdout: "", stderr: "" });
    const json = await launched(of(0, 4), "collect", "runs/a", "--json");
    assert.is(JSON.parse(json.stdout).code, "ranks");
    assert.match(await readFile(join(dir, "plan.yaml"), "utf8").catch(({ code }) => code), "ENOENT");
  });

  test(`${launcher}: help, version and wrong words are printed once`, async () => {
    for (const args of [["--help"], ["sweep", "--help"], ["--version"], ["train", "--epoch", "1"], ["trian"], []]) {
      const alone = await axograd(args);
      assert.equal(await launched(of(0, 2), ...args), alone);
      assert.equal(await launched(of(1, 2), ...args), { code: 0, stdout: "", stderr: "" });
    }
  });

  test(`${launcher}: a launch of one process is none of several`, async () => {
    const { code, stderr } = await launched(of(0, 1), "tasks");
    assert.is(code, 0, stderr);
  });
}

test("a batch script of Slurm runs any command, whatever the number of tasks that it asked for", async () => {
  const batch = { SLURM_JOB_ID: "7", SLURM_NTASKS: "4", SLURM_NPROCS: "4", SLURM_PROCID: "0", SLURM_LOCALID: "0" };
  const { code, stderr } = await launched(batch, "tasks");
  assert.is(code, 0, stderr);
});

test("a process that a rank has started is none, and speaks for itself", async () => {
  const heir = { ...LAUNCHERS["mpirun of Open MPI"]!(1, 2), [RANK_MARK]: "1" };
  const train = await launched(heir, "train", "--steps", "1", "--out", "never");
  assert.is(train.code, 1);
  assert.match(train.stderr, /^axograd: launcher: .* says that this is rank 1 of 2, but process 1 is, which has/);
  assert.is((await launched(heir, "collect", "never")).code, 2);
});

test("launchers that contradict each other are an error of every command", async () => {
  const both = { ...LAUNCHERS["mpirun of Open MPI"]!(0, 4), ...LAUNCHERS["mpirun of MPICH"]!(1, 4) };
  const { code, stderr } = await launched(both, "tasks");
  assert.is(code, 1);
  assert.match(stderr, /^axograd: launcher: /);
});

test.run();

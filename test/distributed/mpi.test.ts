// Real ranks: processes that mpirun starts, with the MPI libraries of this machine.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  hasMpirun,
  IMPLEMENTATIONS,
  type Implementation,
  type LaunchOptions,
  mpirun,
  mpirunMissing,
} from "../support/mpirun.ts";
import { repositoryRoot } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("MPI");

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url));
/** The library of each implementation, by a name that the system's loader finds. */
const LIBRARIES: Readonly<Record<Implementation, string>> = { openmpi: "libmpi.so.40", mpich: "libmpich.so.12" };
const NAMES: Readonly<Record<Implementation, RegExp>> = { openmpi: /^Open MPI v/, mpich: /^MPICH / };

function withMpi(implementation: Implementation, name: string, body: () => Promise<void>): void {
  testOrSkip(test, hasMpirun(implementation), mpirunMissing(implementation), `${name} (${implementation})`, body);
}

function run(implementation: Implementation, ranks: number, name: string, more: Partial<LaunchOptions> = {}) {
  return mpirun({ implementation, ranks, command: ["node", program(name)], ...more });
}

async function collective(
  implementation: Implementation,
  ranks: number,
  more?: Partial<LaunchOptions>,
): Promise<string> {
  const { code, stdout, stderr } = await run(implementation, ranks, "collective", more);
  assert.is(code, 0, stderr);
  const { size, hosts, description } = JSON.parse(stdout);
  assert.is(size, ranks);
  assert.equal(hosts, Array(ranks).fill(hostname()));
  return description;
}

for (const implementation of IMPLEMENTATIONS) {
  withMpi(implementation, "ranks exchange values and arrays, and stay what they are to Node", async () => {
    assert.match(await collective(implementation, 1), /^one rank, started by mpirun of /);
    for (const ranks of [2, 3, 4]) assert.match(await collective(implementation, ranks), NAMES[implementation]);
  });

  withMpi(implementation, "a library that the launcher does not know is refused on every rank", async () => {
    const other = IMPLEMENTATIONS.find((one) => one !== implementation)!;
    const { code, stdout } = await run(implementation, 2, "child", { env: { AXOGRAD_MPI: LIBRARIES[other] } });
    assert.is.not(code, 0);
    if (hasMpirun(other))
      assert.match(stdout, /launcher: mpirun of .* says that this is rank \d of 2, but .* says rank 0 of 1; /);
    else assert.match(stdout, `AXOGRAD_MPI: expected the path of an MPI library (libmpi.so), got ${LIBRARIES[other]}`);
    assert.not.match(stdout, /alone|^rank/m);
  });
}

for (const implementation of IMPLEMENTATIONS) {
  withMpi(implementation, "ranks that call different things get an error; an error of one ends all", async () => {
    const { code, stdout, stderr } = await run(implementation, 3, "faults");
    assert.is(code, 1, stderr);
    assert.is(stdout.split("\n")[0], "goes on", stderr);
    assert.equal(stderr.match(/^axograd: .*$/gm), [`axograd: rank 1 (${hostname()}): arena: full`]);
  });
}

withMpi("mpich", "a heap without room to grow is left as it is", async () => {
  const { code, stderr } = await run("mpich", 2, "collective", {
    command: ["node", "--import", pathToFileURL(program("noRoom")).href, program("collective")],
  });
  assert.is(code, 0, stderr);
});

withMpi("openmpi", "a file that is no MPI library is refused", async () => {
  for (const [file, expected] of [
    ["libm.so.6", /libm.so.6: expected an MPI library, got a file without its functions/],
    ["/nowhere/libmpi.so", /AXOGRAD_MPI: expected the path of an MPI library \(libmpi.so\), got \/nowhere\/libmpi.so/],
  ] as const) {
    const { code, stdout } = await run("openmpi", 2, "child", { env: { AXOGRAD_MPI: file } });
    assert.is.not(code, 0);
    assert.match(stdout, expected);
  }
});

withMpi("openmpi", "without koffi, the error says how to install it", async () => {
  const hook = `export const resolve = (name, context, next) => { if (name === "koffi") throw new Error("not found"); return next(name, context); };`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;
  const { code, stdout } = await run("openmpi", 2, "child", {
    command: ["node", "--import", `data:text/javascript,${encodeURIComponent(register)}`, program("child")],
  });
  assert.is.not(code, 0);
  assert.match(stdout, "MPI: several processes need the package koffi; install it with: npm install koffi");
});

withMpi("mpich", "a program between launcher and rank that closes its socket, as npx does, is noticed", async () => {
  const between = `import { spawnSync } from "node:child_process"; spawnSync(process.execPath, [${JSON.stringify(program("child"))}], { stdio: "inherit" });`;
  const command = ["node", "--input-type=module", "-e", between] as const;
  const { stdout } = await run("mpich", 2, "child", { command });
  assert.match(stdout, /its socket \(PMI_FD=\d+\) is closed: a program between them, such as npx/);
  const { stdout: byPort } = await run("mpich", 2, "child", { command, options: ["-pmi-port"], timeoutS: 20 });
  assert.equal(byPort.match(/^rank \d of 2$/gm)?.sort(), ["rank 0 of 2", "rank 1 of 2"]);
});

/**
 * Makes launchers leave the others alone when a rank is killed, as srun does without -K. Else they may be faster than the watch. MPICH's may be so
 * all the same if rank 0 is killed.
 */
const LENIENT: Readonly<Record<Implementation, string>> = {
  openmpi: "--enable-recovery",
  mpich: "-disable-auto-cleanup",
};

/** Rank, way, what the others do; the launcher's exit code (null: lenient ones return any) and words of the message. */
const DEATHS: readonly {
  readonly implementation: Implementation;
  readonly rank: number;
  readonly way: string;
  readonly others: "wait" | "compute";
  readonly expected: number | null;
  readonly words: RegExp;
}[] = [
  { implementation: "openmpi", rank: 1, way: "exception", others: "compute", expected: 1, words: /Error: boom/ },
  { implementation: "mpich", rank: 0, way: "exit", others: "wait", expected: 3, words: /exit code 3, before its comm/ },
  {
    implementation: "openmpi",
    rank: 2,
    way: "SIGKILL",
    others: "wait",
    expected: null,
    words: /it was killed, ran out/,
  },
  {
    implementation: "openmpi",
    rank: 0,
    way: "SIGKILL",
    others: "compute",
    expected: null,
    words: /it was killed, ran out/,
  },
  {
    implementation: "mpich",
    rank: 2,
    way: "trap",
    others: "wait",
    expected: 1,
    words: /RuntimeError: memory access out/,
  },
  {
    implementation: "openmpi",
    rank: 0,
    way: "end",
    others: "wait",
    expected: 1,
    words: /exit code 0, before its comm/,
  },
];

for (const { implementation, rank, way, others, expected, words } of DEATHS) {
  withMpi(implementation, `rank ${rank} ends by ${way} while others ${others}: all end, and one names it`, async () => {
    const { code, stdout, stderr, seconds } = await run(implementation, 3, "dying", {
      command: ["node", program("dying"), `${rank}`, way, others],
      options: way === "SIGKILL" ? [LENIENT[implementation]] : [],
    });
    // The launcher may write to it, too.
    const [pid] = stdout.split("\n");
    const said = stderr.match(/^axograd: .*$/gm) ?? [];
    assert.is(said.length, 1, stderr);
    assert.match(said[0]!, `axograd: rank ${rank} (host ${hostname()}, process ${pid}) ended: `);
    assert.match(said[0]!, words);
    if (expected !== null) assert.is(code, expected);
    if (way === "exception") assert.match(stderr, /at file:.*dying\.js/);
    // The others would compute or wait for a minute.
    assert.ok(seconds < 50, `${seconds} s`);
  });
}

testOrSkip(
  test,
  hasMpirun("mpich") && spawnSync("mpicc.mpich", ["-E", "-include", "mpi.h", "-x", "c", "/dev/null"]).status === 0,
  "MPICH and its compiler and headers (libmpich-dev) are not all installed",
  "a library with the standard's binary interface works (here a shim on MPICH)",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "axograd-mpi-"));
    try {
      const library = join(folder, "libmpi_abi.so.0");
      const source = join(repositoryRoot(), "test", "distributed", "standardAbi.c");
      execFileSync("mpicc.mpich", ["-shared", "-fPIC", "-Wl,-soname,libmpi_abi.so.0", "-o", library, source]);
      assert.match(await collective("mpich", 3, { env: { AXOGRAD_MPI: library } }), /^shim of the standard interface/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test.run();

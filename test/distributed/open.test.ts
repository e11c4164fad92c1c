import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SOLO } from "../../src/distributed/communicator.ts";
import { launchOf, withoutLauncher } from "../../src/distributed/launcher.ts";
import { candidates } from "../../src/distributed/mpi/library.ts";
import { openCommunicator } from "../../src/distributed/open.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("openCommunicator");

testOrSkip(
  test,
  launchOf(process.env) === null,
  "a launcher started the tests",
  "alone, a process loads nothing of MPI",
  async () => {
    assert.is(await openCommunicator(), SOLO);
    assert.is(await openCommunicator(), SOLO);
    const { sharedObjects } = process.report.getReport() as unknown as { readonly sharedObjects: readonly string[] };
    assert.ok(sharedObjects.length > 0);
    assert.not(sharedObjects.some((file) => /koffi|libmpi/.test(file)));
  },
);

test("one process gets its own values back", async () => {
  assert.equal(await SOLO.exchange({ loss: 1 }), [{ loss: 1 }]);
  const [send, receive] = [[new Float32Array([1, 2])], [new Float32Array(2)]];
  await SOLO.allToAll(send, receive);
  assert.equal(receive, send);
  await SOLO.allGather(receive[0]!, [2]);
  await SOLO.close();
});

test("libraries are tried by launcher, and only the one that AXOGRAD_MPI names", () => {
  const env = withoutLauncher({ PATH: "/nowhere" });
  const short = (file: string): string => file.replace(/^.*lib|\.(so|dylib)/g, "");
  const [openMpi, mpich, either] = [["mpi.40"], ["mpi.12", "mpich.12", "mpi_cray.12"], ["mpi_abi.0", "mpi"]];
  assert.equal(candidates("Open MPI", env).map(short), [...openMpi, ...either, ...mpich]);
  assert.equal(candidates("MPICH", env).map(short), [...mpich, ...either, ...openMpi]);
  assert.equal(candidates(null, env).map(short), [...openMpi, ...mpich, ...either]);
  assert.equal(candidates("MPICH", { ...env, AXOGRAD_MPI: "/x/libmpi.so" }), ["/x/libmpi.so"]);
});

test("a library of a loaded module, or beside the launcher, goes before the system's", () => {
  const root = mkdtempSync(join(tmpdir(), "axograd-mpi-"));
  try {
    const [name] = candidates("Open MPI", { PATH: "/nowhere" });
    for (const folder of ["bin", "lib", "module"]) mkdirSync(join(root, folder));
    for (const file of [
      ["bin", "mpirun"],
      ["lib", name!],
      ["module", name!],
    ])
      writeFileSync(join(root, ...file), "");
    const env = { PATH: `/nowhere${delimiter}${join(root, "bin")}`, LD_LIBRARY_PATH: join(root, "module") };
    const found = [join(root, "module", name!), join(root, "lib", name!), name];
    assert.equal(candidates("Open MPI", env).slice(0, 3), found);
    // Another launcher's library comes last.
    assert.equal(candidates("MPICH", env).slice(-3), found);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();

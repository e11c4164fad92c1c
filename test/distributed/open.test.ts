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
  const version = (file: string): string => file.replace(/\.(so|dylib)|lib/g, "");
  assert.equal(candidates("Open MPI", env).map(version).slice(0, 2), ["mpi.40", "mpi_abi.0"]);
  assert.equal(candidates("MPICH", env).map(version).slice(0, 2), ["mpi.12", "mpich.12"]);
  assert.equal(candidates("MPICH", { ...env, AXOGRAD_MPI: "/x/libmpi.so" }), ["/x/libmpi.so"]);
});

test.run();

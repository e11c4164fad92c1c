// How the WebGPU backend fails: every error is a BackendError that names what was wrong, and processes end with the right code.

import { spawn } from "node:child_process";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { ADAPTER_VARIABLE } from "../../src/backend/webgpu/dawn.ts";
import { Device } from "../../src/backend/webgpu/device.ts";
import { Pipelines } from "../../src/backend/webgpu/pipelines.ts";
import type { Slot } from "../../src/backend/webgpu/shader.ts";
import { ArgumentError, BackendError } from "../../src/core/errors.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

async function failureOf(action: () => unknown): Promise<BackendError> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, BackendError, String(error));
    return error as BackendError;
  }
  throw new Error("expected an error, got none");
}

function doubling(rows: number): ProgramBuilder {
  const b = new ProgramBuilder("doubling");
  const x = b.inout("x", "row", { rows });
  return b.plainPhase(rows, (p) => p.accumulate(x, p.load(x)));
}

/** Exit code and output of a script that imports the built modules, run in a process of its own. */
function runScript(lines: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const adapterUrl = new URL("../support/softwareAdapter.js", import.meta.url);
  const backendUrl = new URL("../../src/backend/webgpu/backend.js", import.meta.url);
  const script = [
    `const { testAdapter } = await import(${JSON.stringify(adapterUrl.href)});`,
    `const { createWebGpuBackend } = await import(${JSON.stringify(backendUrl.href)});`,
    "await testAdapter();",
    "const backend = await createWebGpuBackend();",
    'const buffer = backend.buffer("x", 1000);',
    "backend.fill(buffer, 2);",
    ...lines,
  ].join("\n");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill(), 30_000);
    let output = "";
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
    });
    child.stderr.on("data", (data: Buffer) => {
      output += data.toString();
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite("webgpu failures");

  test("limits that are no numbers above 0 are refused by name", async () => {
    for (const name of ["maxLanes", "memoryBudgetBytes", "maxArrayBytes"]) {
      for (const value of [0, -1, Number.NaN]) {
        try {
          await createWebGpuBackend({ [name]: value });
        } catch (error) {
          assert.instance(error, ArgumentError);
          assert.is((error as ArgumentError).facts.argument, name);
          continue;
        }
        assert.unreachable(`${name} = ${value} was taken`);
      }
    }
  });

  test("f64 is refused, with the backend that has it", async () => {
    const error = await failureOf(() => createWebGpuBackend({ dtype: "f64" }));
    assert.is(error.code, "dtype");
    assert.match(error.message, /wasm/);
  });

  test("an adapter that does not exist is refused with the names of those that do", async () => {
    for (const wanted of ["Voodoo 2", 17]) {
      const error = await failureOf(() => createWebGpuBackend({ adapter: wanted }));
      assert.is(error.code, "no-adapter");
      assert.ok(error.message.includes(adapter.name) && error.message.includes(`${wanted}`));
    }
  });

  test("an adapter is found by index and by part of its name, whatever the case", async () => {
    for (const wanted of [0, "0", adapter.name.slice(1, 6).toUpperCase()]) {
      const backend = await createWebGpuBackend({ adapter: wanted });
      assert.is(backend.adapter.name, adapter.name);
      await backend.dispose();
    }
  });

  test("an adapter that is named is taken, also by auto, and not together with what only the CPU does", async () => {
    const backend = await createBackend({ adapter: 0 });
    assert.is(backend.name, "webgpu");
    await backend.dispose();
    for (const selection of [{ device: "wasm" }, { dtype: "f64" }] as const) {
      try {
        await createBackend({ ...selection, adapter: 0 });
      } catch (error) {
        assert.instance(error, ArgumentError);
        assert.match((error as ArgumentError).message, /adapter/);
        continue;
      }
      assert.unreachable(JSON.stringify(selection));
    }
  });

  test("the environment names an adapter for those who name none", async () => {
    process.env[ADAPTER_VARIABLE] = adapter.name.slice(2);
    try {
      const backend = await createBackend();
      assert.is(backend.name, "webgpu");
      await backend.dispose();
      process.env[ADAPTER_VARIABLE] = "Voodoo 2";
      const error = await failureOf(() => createBackend());
      assert.is(error.code, "no-adapter");
      assert.match(error.message, /Voodoo 2 \(AXOGRAD_ADAPTER\)/);
    } finally {
      delete process.env[ADAPTER_VARIABLE];
    }
  });

  test("a shader that does not compile is named with its line", async () => {
    const device = await Device.open(undefined);
    const source = "@compute @workgroup_size(1)\nfn main() {\n  let x: u32 = 1.5;\n}\n";
    new Pipelines(device).get("attempt: broken", source, []);
    const error = await failureOf(() => device.settle());
    assert.is(error.code, "shader");
    assert.match(error.message, /attempt: broken.*line 3.*let x: u32 = 1\.5/);
    assert.is(error.facts.line, 3);
    device.destroy();
  });

  test("equal shaders for which other buffers are bound have pipelines of their own", async () => {
    const device = await Device.open(undefined);
    const pipelines = new Pipelines(device);
    // A shader need not mention all that is bound for it.
    const source = "@compute @workgroup_size(1)\nfn main() {}\n";
    const [reads, writes] = [{ writes: false }, { writes: true }] as unknown as readonly [Slot, Slot];
    const made = [[reads], [reads, writes], [reads, reads], [reads]].map((slots) =>
      pipelines.get("map", source, slots),
    );
    await device.settle();
    const [one, two, three, again] = made.map(({ layout }) => layout);
    assert.is.not(two, one);
    assert.is.not(three, two);
    assert.is(again, one);
    assert.is(made[3], made[0]);
    device.destroy();
  });

  test("the memory budget is kept, and named when it is exceeded", async () => {
    const backend = await createWebGpuBackend({ memoryBudgetBytes: 2 ** 20 });
    const first = backend.buffer("first", 100_000);
    const error = await failureOf(() => backend.buffer("second", 200_000));
    assert.is(error.code, "memory-budget");
    assert.match(error.message, /1048576 bytes.*second/);
    first.release();
    backend.buffer("second", 200_000);
    await backend.dispose();
  });

  test("buffers that can be done without: none where the budget has no room for them, and some of it is left", async () => {
    const backend = await createWebGpuBackend({ memoryBudgetBytes: 8 * 2 ** 20 });
    const ask = () => backend.buffersIfRoom("set", { a: 2 ** 16, b: 2 ** 16, c: 1 });
    const sets = [];
    for (let set = await ask(); set; set = await ask()) sets.push(set);
    assert.ok(sets.length > 1, `${sets.length} sets`);
    const a = sets[0]!.a;
    assert.equal([a.length, a.label, a.type], [2 ** 16, "set a", "float"]);
    // Each holds its own numbers, and zeros at first.
    backend.fill(a, 7);
    assert.equal([(await backend.download(sets[0]!.b))[0], (await backend.download(a))[2 ** 16 - 1]], [0, 7]);
    const left = 8 * 2 ** 20 - sets.length * (2 * 2 ** 18 + 256);
    assert.ok(left >= 2 ** 21, `${left} bytes`);
    for (let k = 0; k < 6; k++) backend.buffer("others", 2 ** 16);
    // What is given back serves again, as zeros.
    for (const buffer of Object.values(sets.pop()!)) buffer.release();
    const again = (await ask())!;
    assert.ok((await backend.download(again.b)).every((x) => x === 0));
    await backend.dispose();
  });

  test("what the device has no memory for is refused without harm to the device", async () => {
    const device = await Device.open(undefined);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const most = device.limit("maxBufferSize");
    // Two of the largest: no adapter has memory for them, or it has more than it lets anyone use at once.
    const huge = await device.bufferIfRoom("huge", most, usage, most);
    if (device.info.isSoftware) assert.is(huge, null);
    const live = device.counts.liveBuffers;
    const small = await device.bufferIfRoom("small", 1024, usage, 1024);
    assert.ok(small);
    assert.is(device.counts.liveBuffers, live + 1);
    await device.settle();
    device.destroy();
  });

  test("an array beyond the adapter's limit is refused by the name of the limit", async () => {
    const backend = await createWebGpuBackend();
    const elements = backend.device.limits.maxStorageBufferBindingSize / 4 + 256;
    const error = await failureOf(() => backend.buffer("huge", elements));
    assert.is(error.code, "limit");
    assert.match(error.message, /maxStorageBufferBindingSize.*huge/);
    await backend.dispose();
    const limited = await createWebGpuBackend({ maxArrayBytes: 4000 });
    limited.buffer("fits", 960).release();
    // A state that is too large even with the narrowest panel is asked for all the same, and refused.
    assert.is(limited.lanesFor(961), 4);
    assert.is((await failureOf(() => limited.buffer("state", 4 * 961))).facts.limit, 3840);
    await limited.dispose();
  });

  test("a released program is refused, and its memory serves others", async () => {
    const backend = await createWebGpuBackend();
    const executable = backend.compile(doubling(64).build(), backend.layoutFor(1));
    const x = backend.buffer("x", 64);
    backend.fill(x, 1);
    const bound = backend.bind(executable, { x });
    backend.run(bound);
    bound.release();
    bound.release();
    assert.is((await failureOf(() => backend.run(bound))).code, "released");
    const { buffers } = backend.counts();
    for (let k = 0; k < 2000; k++) {
      const other = backend.bind(executable, { x });
      if (k % 1000 === 0) backend.run(other);
      other.release();
    }
    assert.is(backend.counts().buffers, buffers, "no device memory was added");
    assert.is((await backend.download(x))[0], 8);
    await backend.dispose();
  });

  test("losing the device in the middle of work is an error with advice, now and in every later call", async () => {
    const backend = await createWebGpuBackend();
    const x = backend.buffer("x", 100_000);
    const bound = backend.bind(backend.compile(doubling(100_000).build(), backend.layoutFor(1)), { x });
    for (let k = 0; k < 10; k++) backend.run(bound);
    const pending = backend.download(x);
    backend.device.destroy();
    for (const action of [() => pending, () => backend.finish(), () => backend.upload(x, [1])]) {
      const error = await failureOf(action);
      assert.is(error.code, "device-lost");
      assert.match(error.message, /checkpoint/);
    }
    await backend.dispose();
  });

  test("after dispose nothing lives, dispose may be called again, and other calls are refused", async () => {
    const backend = await createWebGpuBackend();
    const x = backend.buffer("x", 100);
    const bound = backend.bind(backend.compile(doubling(100).build(), backend.layoutFor(1)), { x });
    backend.run(bound);
    await backend.download(x);
    assert.ok(backend.counts().liveBuffers > 0);
    await backend.dispose();
    await backend.dispose();
    assert.is(backend.counts().liveBuffers, 0);
    assert.is(backend.memory().liveBuffers, 0);
    assert.is(backend.memory().bytes, 0);
    assert.is((await failureOf(() => backend.run(bound))).code, "disposed");
  });

  test("a process ends by itself with code 0, with and without dispose", async () => {
    const endings = [
      ["await backend.download(buffer);", "await backend.dispose();"],
      ["await backend.download(buffer);"],
      ["void backend.download(buffer);"],
      [],
    ];
    for (const lines of endings) {
      const { code, output } = await runScript(lines);
      assert.is(code, 0, `${lines.join(" ")}\n${output}`);
    }
  });

  test("a process that throws or exits keeps its code", async () => {
    const thrown = await runScript(["await backend.finish();", 'throw new Error("on purpose");']);
    assert.is(thrown.code, 1, thrown.output);
    assert.match(thrown.output, /on purpose/);
    const exited = await runScript(["void backend.download(buffer);", "process.exit(3);"]);
    assert.is(exited.code, 3, exited.output);
    const set = await runScript(["await backend.download(buffer);", "process.exitCode = 4;"]);
    assert.is(set.code, 4, set.output);
  });

  test.run();
}

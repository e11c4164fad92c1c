// The peer's side of the line protocol (protocol.md), for peers in JavaScript.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readRawF32, readRawU32, writeRaw } from "../arrays.ts";

/** CSR of the connectome, and the operand [neurons][batch]. */
export interface PeerData {
  readonly n: number;
  readonly batch: number;
  readonly rowPtr: Uint32Array;
  readonly colIdx: Uint32Array;
  readonly values: Float32Array;
  readonly x: Float32Array;
}

/** One run; returns its results by name. */
export type PeerOperation = () => Promise<Readonly<Record<string, Float32Array>>>;

export function readPeerData(folder: string, batch: number): PeerData {
  const path = (file: string): string => join(folder, file);
  const { neurons } = JSON.parse(readFileSync(path("network.json"), "utf8")) as { neurons: number };
  return {
    n: neurons,
    batch,
    rowPtr: readRawU32(path("rowPtr.u32")),
    colIdx: readRawU32(path("colIdx.u32")),
    values: readRawF32(path("values.f32")),
    x: readRawF32(path("x.f32")),
  };
}

/** Answers requests until the input ends. */
export async function serve(name: string, operations: Readonly<Record<string, PeerOperation>>): Promise<void> {
  console.log(`ready ${name}|${Object.keys(operations).join(",")}|1`);
  for await (const line of createInterface(process.stdin)) {
    const [command, operation = "", argument = ""] = line.split(" ");
    const run = operations[operation]!;
    if (command === "time") console.log(await secondsPerRun(run, Number(argument)));
    else {
      for (const [result, values] of Object.entries(await run())) writeRaw(`${argument}.${result}.f32`, values);
      console.log("ok");
    }
  }
}

async function secondsPerRun(run: PeerOperation, repeats: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await run();
  return (performance.now() - start) / 1000 / repeats;
}

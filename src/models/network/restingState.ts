// The initial state at rest: a network runs under a constant input first, and all samples start where that leads.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { Program } from "../../backend/program.ts";
import { assertSolved } from "../../ode/solveStats.ts";
import { settled } from "./chunks.ts";
import type { Evaluated, Network } from "./network.ts";

/**
 * The state in which a network rests, as one number per neuron on the device. It is computed anew when the parameters or the run that leads
 * to it change. No gradient flows through it.
 */
export class RestingState<E> {
  readonly #desk: Desk;
  readonly #rows: number;
  /** What the present state was computed from. */
  #known: { readonly run: string; readonly revision: number } | null = null;

  /** @param desk  where the state is kept */
  constructor(desk: Desk, rows: number) {
    this.#desk = desk;
    this.#rows = rows;
  }

  /** Runs the one sample of `run`, unless its last state is known. */
  async find(network: Network<E>, run: Evaluated<E>): Promise<void> {
    const { revision } = network.parameters;
    const { data, batch } = run.input;
    const { signal: _, ...evaluation } = run.evaluation as Record<string, unknown>;
    const key = JSON.stringify([Array.from(data), batch, evaluation], (_, v) =>
      ArrayBuffer.isView(v) ? [...(v as Float64Array)] : v,
    );
    if (this.#known?.run === key && this.#known.revision === revision) return;
    this.#known = null;
    const last = network.outputTimes(run) - 1;
    for await (const chunk of network.startedChunks({ ...run, at: [last] }, "states")) {
      const { stats } = await settled(chunk);
      assertSolved(stats);
      const { desk } = chunk;
      const first = desk.sample("first lane");
      desk.set(first, (lane) => (lane === 0 ? 1 : 0));
      const program = desk.program("rest", () => restProgram(this.#rows));
      desk.run(program, { h: chunk.hs[last], first, rest: this.#row });
    }
    this.#known = { run: key, revision };
  }

  /** Gives the resting state to each lane of a state. */
  spread(desk: Desk, h: DeviceBuffer): void {
    desk.run(
      desk.program("spread", () => spreadProgram(this.#rows)),
      { rest: this.#row, h },
    );
  }

  get #row(): DeviceBuffer {
    return this.#desk.vector("rest", this.#rows);
  }
}

/** The first lane of a state, as one number per row. */
function restProgram(rows: number): Program {
  const g = new Graph();
  g.store("rest", g.ops.reduceLanes(g.ops.select(g.sample("first"), g.state("h", rows), 0)));
  return lower(g, "rest", "forward");
}

function spreadProgram(rows: number): Program {
  const g = new Graph();
  g.store("h", g.row("rest", rows), { as: { kind: "state", rows } });
  return lower(g, "rest.spread", "forward");
}

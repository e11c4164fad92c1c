// Signs of presynaptic neurons that come with their connections, each checked against the ones before.

import { FileFormatError } from "../core/errors.ts";

export class NeuronSigns {
  /** [neurons], 0 where no connection said one. */
  readonly #signs: Int8Array;
  readonly #placeOf: (row: number) => string;

  /** @param placeOf  where the sign of a row stands, for messages */
  constructor(neurons: number, placeOf: (row: number) => string) {
    this.#signs = new Int8Array(neurons);
    this.#placeOf = placeOf;
  }

  /**
   * The sign of a connection that a neuron makes.
   *
   * @param neuron  −1: none of those that matter
   * @throws {FileFormatError} no sign, or another one than before
   */
  set(neuron: number, value: number, row: number): void {
    const sign = Math.sign(value);
    if (sign !== 1 && sign !== -1) throw new FileFormatError(this.#placeOf(row), "a sign, 1 or -1", `${value}`);
    if (neuron < 0) return;
    if (this.#signs[neuron] === -sign) {
      throw new FileFormatError(this.#placeOf(row), "one sign for all connections that a neuron makes", "both");
    }
    this.#signs[neuron] = sign;
  }

  /** The sign of the connection from `pre`, whatever the other end. */
  readonly signOf = (pre: number): number => this.#signs[pre]!;
}

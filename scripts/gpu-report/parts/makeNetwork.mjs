// Generates the large network once and stores it, so that all later parts and the peers have the same matrix.

import { mkdirSync } from "node:fs";
import { makeNetwork, storeNetwork } from "../../../dist/bench/networks.js";

export async function run({ network: { neurons, connections }, folder, row }) {
  mkdirSync(folder, { recursive: true });
  const network = await makeNetwork(`${neurons}x${connections}`);
  storeNetwork(folder, network);
  row({ name: "network", neurons, connections });
}

// Started by a rank: prints whether it is alone, or the error.

import { SOLO } from "../../../src/distributed/communicator.ts";
import { openCommunicator } from "../../../src/distributed/open.ts";

try {
  const communicator = await openCommunicator();
  console.log(communicator === SOLO ? "alone" : `rank ${communicator.rank} of ${communicator.size}`);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

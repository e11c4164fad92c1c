// The program of the heartbeat thread.

import { workerData } from "node:worker_threads";
import { beat, type Shared } from "./heartbeat.ts";

beat(workerData as Shared);

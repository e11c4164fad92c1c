// Ready-made tasks by name: data that needs no files, with answers that are known.

import { addition } from "./addition.ts";
import { decision } from "./decision.ts";
import { match } from "./match.ts";
import { motion } from "./motion.ts";
import type { TaskSet } from "./taskSet.ts";
import { teacher } from "./teacher.ts";
import { text } from "./text.ts";

/** The tasks whose samples are made on the spot, by name. */
export const TASK_SETS: Readonly<Record<string, TaskSet>> = { addition, text, decision, match, teacher, motion };

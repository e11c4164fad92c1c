// The kinds of work that a profile tells apart; the position in the list is the row of the profile table in shared memory. Folding the
// partial results of a reduction over rows counts as "reduction".

import { PHASE_KINDS, type PhaseKind } from "../kinds.ts";

/** "barrier": thread 0 waiting for the others. */
export const PROFILE_KINDS: readonly (PhaseKind | "barrier")[] = [...PHASE_KINDS, "barrier"];

/** Bytes of the profile table: a pair of doubles (milliseconds, runs) per kind. */
export const PROFILE_BYTES: number = 16 * PROFILE_KINDS.length;

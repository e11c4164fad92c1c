// The CPUs that Slurm grants to a process: what its site confines it to may be more.

/** CPUs of one task, and of the job on this node; null: not said, or no job of Slurm. */
export interface SlurmGrant {
  readonly perTask: number | null;
  readonly onNode: number | null;
}

export function slurmGrant(env: Readonly<Record<string, string | undefined>>): SlurmGrant {
  if (!env.SLURM_JOB_ID) return { perTask: null, onNode: null };
  return { perTask: positive(env.SLURM_CPUS_PER_TASK), onNode: positive(env.SLURM_CPUS_ON_NODE) };
}

function positive(text: string | undefined): number | null {
  const value = Number(text);
  return text !== undefined && Number.isInteger(value) && value > 0 ? value : null;
}

/**
 * Bash for a job file: adds to the array `options` of `podman run` the scheduler's variables that are set on the node, as
 * names, so that no value stands on a command line that others can read. They come right after the first word, `run`: an
 * option of the administrator's for the same variable comes later and wins.
 *
 * `PMI_FD` is left out: it is the number of an open file, which a container does not inherit, and an MPI program that finds it
 * fails instead of starting alone (facts/podman-on-hpc.md, 2, row 22).
 */
export const schedulerVariables = `# --- The scheduler's own variables, by their names.
scheduler_variables() {
  local name names=()
  for name in "\${!SLURM_@}" "\${!SLURMD_@}" "\${!SBATCH_@}" "\${!FLUX_@}" "\${!PBS_@}" "\${!LSB_@}" "\${!LSF_@}" "\${!PMI_@}" "\${!PMIX_@}"; do
    [ "$name" = PMI_FD ] || names+=(--env "$name")
  done
  options=("\${options[0]}" "\${names[@]}" "\${options[@]:1}")
}
scheduler_variables`;

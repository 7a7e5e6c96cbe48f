if [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "this is a job of SLURM: submit it with sbatch" >&2
  exit 2
fi
job=$SLURM_JOB_ID
[ -n "${SLURM_ARRAY_JOB_ID:-}" ] && job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
# With --export=NONE this is NONE, and srun would start the training without PATH and HOME.
unset SLURM_EXPORT_ENV

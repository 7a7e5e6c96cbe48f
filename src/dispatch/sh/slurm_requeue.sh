# Saved and resumable. A job whose end SLURM has decided already (scancel, scontrol requeue, a preemption past its grace time) is
# COMPLETING: to requeue it would bring a cancelled job back. A controller that does not answer is asked again for ten minutes.
for ((tries = 0; tries < 60; tries++)); do
  state=$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null | sed -n 's/^ *JobState=\([A-Z_]*\).*/\1/p' | head -n 1)
  if [ "$state" = RUNNING ]; then
    note end 75 requeue
    scontrol requeue "$SLURM_JOB_ID" && exit 75
  elif [ -n "$state" ]; then
    note end 75 stopped
    exit 75
  fi
  sleep 10
done
note end 75 "not requeued"
exit 75

# An empty answer means nothing: squeue has been seen to forget a live job for a moment.
job_word() {
  case "$1" in
    PENDING|CONFIGURING|REQUEUED|REQUEUE_HOLD|REQUEUE_FED|SPECIAL_EXIT|RESV_DEL_HOLD) echo "pending $1" ;;
    RUNNING|SUSPENDED|STOPPED|SIGNALING|RESIZING|STAGE_OUT) echo "running $1" ;;
    COMPLETING) echo "ending $1" ;;
    COMPLETED|CANCELLED*|FAILED|TIMEOUT|NODE_FAIL|PREEMPTED|BOOT_FAIL|DEADLINE|OUT_OF_MEMORY|REVOKED) echo "gone $1" ;;
    *) echo unknown ;;
  esac
}
job_state() {
  out=$(squeue -h -a -t all -j "$1" -o '%T' 2>&1) && [ -n "$out" ] && { job_word "${out%%
*}"; return; }
  job_shown "$1"
}
job_shown() {
  out=$(scontrol show job "$1" 2>&1)
  case "$out" in
    *JobState=*) job_word "$(printf '%s\n' "$out" | sed -n 's/^ *JobState=\([A-Z_]*\).*/\1/p' | head -n 1)" ;;
    *'Invalid job id'*) echo 'gone UNKNOWN' ;;
    *) echo unknown ;;
  esac
}

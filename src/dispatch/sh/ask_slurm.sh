# One job that the queue does not show: scontrol may know it, else SLURM's accounting.
ask() {
  [ -n "$silence" ] && return
  grep -q "^$1|" "$queue_file" 2>/dev/null && return
  # squeue has been asked for all jobs at once.
  said=$(job_shown "$1")
  if [ "$said" = unknown ] || [ "$said" = 'gone UNKNOWN' ]; then
    accounted=$(sacct -n -X -P -j "$1" -o State 2>/dev/null | head -n 1 | cut -d ' ' -f 1)
    [ -n "$accounted" ] && said=$(job_word "$accounted")
  fi
  echo "$said"
}

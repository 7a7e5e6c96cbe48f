# The queue of all jobs of this user: from the file while that is young.
asked=$(head -n 1 "$queue_file" 2>/dev/null)
now=$(date +%s)
silence=
if [ -z "$asked" ] || [ $((now - asked)) -ge "$poll_seconds" ] || [ "$asked" -gt "$now" ] || [ -e "$queue_file.stale" ]; then
  mkdir -p "${queue_file%/*}"
  rm -f "$queue_file.stale"
  if { echo "$now" && squeue -h -r -a -t all -u "$(id -un)" -o '%i|%T|%r|%N|%k' 2>&1; } >"$queue_file.$$"; then
    mv -f "$queue_file.$$" "$queue_file"
  else
    silence=$(tail -n 1 "$queue_file.$$")
    rm -f "$queue_file.$$"
  fi
fi
section silence
echo "$silence"
section queue
# What was true before SLURM fell silent may not be true any more.
[ -z "$silence" ] && cat "$queue_file" 2>/dev/null

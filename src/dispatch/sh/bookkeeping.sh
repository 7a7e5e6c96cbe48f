# One line an event; this job is the only one that writes them.
note() {
  printf '{"event":"%s","job":"%s","attempt":%d,"host":"%s","time":%d,"checkpoint":%d,"code":%d,"next":"%s"}\n' \
    "$1" "$job" "$attempt" "$(hostname)" "$(date +%s)" "$(newest)" "${2:-0}" "${3:-}" >>"$submit_dir/attempts.jsonl"
}

# The step of the newest checkpoint, -1 without one.
newest() {
  local best=-1 entry step
  for entry in "$run_dir"/checkpoints/step-*; do
    step=${entry##*/step-}
    [[ $step =~ ^[0-9]+$ ]] && ((10#$step > best)) && best=$((10#$step))
  done
  echo "$best"
}

cancelled() { [ "$(cat "$submit_dir/cancel" 2>/dev/null)" = "$job" ]; }

mkdir -p "$run_dir/logs" "$submit_dir"
attempt=1
idle=0
last_job=
[ -r "$submit_dir/progress" ] && read -r last_job last_attempt last_step last_idle <"$submit_dir/progress"
if [ "$last_job" = "$job" ]; then
  attempt=$((last_attempt + 1))
  [ "$(newest)" = "$last_step" ] && idle=$((last_idle + 1))
fi
printf '%s %d %d %d\n' "$job" "$attempt" "$(newest)" "$idle" >"$submit_dir/progress"
printf '== attempt %d of job %s on %s, %s\n' "$attempt" "$job" "$(hostname)" "$(date -u +%FT%TZ)"

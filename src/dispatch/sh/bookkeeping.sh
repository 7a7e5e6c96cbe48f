# One line an event; this job is the only one that writes them.
note() {
  printf '{"event":"%s","job":"%s","attempt":%d,"host":"%s","time":%d,"checkpoint":%d,"code":%d,"next":"%s"}\n' \
    "$1" "$job" "$attempt" "$(hostname)" "$(date +%s)" "$(newest)" "${2:-0}" "${3:-}" >>"$submit_dir/attempts.jsonl"
}

last_event() { grep -F "\"job\":\"$job\"" "$submit_dir/attempts.jsonl" 2>/dev/null | tail -n 1; }

# The run's folder and those of its further stages.
folders() {
  local config stage
  echo "$run_dir"
  for config in "$submit_dir"/config-stage-*.yaml; do
    stage=$run_dir-${config##*/config-}
    [ -d "${stage%.yaml}" ] && echo "${stage%.yaml}"
  done
}

# The step of the newest checkpoint, -1 without one.
newest() {
  local best=-1 entry step
  for entry in "${1:-$run_dir}"/checkpoints/step-*; do
    step=${entry##*/step-}
    [[ $step =~ ^[0-9]+$ ]] && ((10#$step > best)) && best=$((10#$step))
  done
  echo "$best"
}

# What an attempt must change to count as one that got somewhere: checkpoints, or how far work is that is no training.
saved() {
  local folder
  for folder in $(folders); do
    newest "$folder"
    [ -e "$folder/metrics.jsonl" ] || sed -n 's/.*"step":\([0-9]*\).*/\1/p' "$folder/heartbeat.json" 2>/dev/null
  done | tr '\n' /
}

cancelled() { [ "$(cat "$submit_dir/cancel" 2>/dev/null)" = "$job" ]; }

mkdir -p "$run_dir/logs" "$submit_dir"
attempt=1
idle=0
last_job=
[ -r "$submit_dir/progress" ] && read -r last_job last_attempt last_saved last_idle <"$submit_dir/progress"
if [ "$last_job" = "$job" ]; then
  attempt=$((last_attempt + 1))
  [ "$(saved)" = "$last_saved" ] && idle=$((last_idle + 1))
fi
printf '%s %d %s %d\n' "$job" "$attempt" "$(saved)" "$idle" >"$submit_dir/progress"
printf '== attempt %d of job %s on %s, %s\n' "$attempt" "$job" "$(hostname)" "$(date -u +%FT%TZ)"

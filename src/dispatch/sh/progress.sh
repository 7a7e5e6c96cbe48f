# Whether the training gets anywhere: its heartbeats change. Only this machine's uptime is asked, so that no clock matters.
uptime_seconds() { sed 's/\..*//' /proc/uptime; }
heartbeats() {
  local folder
  for folder in $(folders); do cat "$folder/heartbeat.json" 2>/dev/null; done
}
watch_progress() {
  local seen='' beat now asked still noted='' period=$((hang_after / 10 + 1))
  [ "$period" -gt 30 ] && period=30
  still=$(uptime_seconds)
  asked=$still
  while nap "$period"; do
    beat=$(heartbeats)
    now=$(uptime_seconds)
    # Also when this script itself, and the training with it, was stopped for a while.
    if [ "$beat" != "$seen" ] || [ $((now - asked)) -gt $((3 * period + 5)) ]; then
      still=$now
      noted=
    fi
    seen=$beat
    asked=$now
    [ $((now - still)) -lt "$hang_after" ] && continue
    if [ -z "$noted" ]; then
      echo "== hangs: no progress for $((now - still)) s, killed" >&2
      note hung "$((now - still))"
      noted=1
    fi
    kill_training
  done
}

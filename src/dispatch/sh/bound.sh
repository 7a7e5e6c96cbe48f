if [ "$idle" -ge "$idle_attempts" ]; then
  echo "== gives up: $idle attempts in a row brought no new checkpoint" >&2
  note end 1 "gave up"
  exit 1
fi
if cancelled; then
  note end 75 cancelled
  exit 0
fi

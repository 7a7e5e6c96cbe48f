# What runs beside the training is ended when the training ends first.
timers=()
aside() {
  trap - USR1
  sleeper=
  trap '[ -n "$sleeper" ] && kill "$sleeper" 2>/dev/null; exit' TERM
}
nap() {
  sleep "$1" &
  sleeper=$!
  wait "$sleeper"
}
# `later SECONDS SIGNAL PROCESS`
later() {
  (
    aside
    nap "$1"
    kill -s "$2" "$3" 2>/dev/null
  ) >/dev/null &
  timers+=("$!")
}

# A signal ends the wait, not the training: it is passed on, and waiting goes on.
interrupted=
asked=
# shellcheck disable=SC2317 # the traps below call it
forward() {
  interrupted=1
  asked=1
  echo "== $1: asked the training to save and to end" >&2
  stop_training
  # Whoever cancels does not wait for ever.
  cancelled && later 60 KILL "$trainer"
}
trap 'forward "signal before the time limit or a preemption"' USR1
trap 'forward SIGTERM' TERM

if [ "$time_limit" -gt 0 ]; then
  last_save=$(sed -n 's/.*"event":"saved".*"seconds":\([0-9]*\).*/\1/p' "$run_dir/events.jsonl" 2>/dev/null | tail -n 1)
  needed=$((3 * (${last_save:-0} + 1)))
  [ "$needed" -gt "$lead" ] && [ "$needed" -lt "$time_limit" ] && lead=$needed
  later $((time_limit - lead)) USR1 $$
fi
if [ "$hang_after" -gt 0 ]; then
  (
    aside
    watch_progress
  ) >/dev/null &
  timers+=("$!")
fi

while :; do
  interrupted=
  wait "$trainer"
  code=$?
  [ -z "$interrupted" ] && break
done
[ "${#timers[@]}" -gt 0 ] && kill "${timers[@]}" 2>/dev/null
trap : USR1

# A training that was still starting ends by the signal itself: nothing is lost but its start.
if [ -n "$asked" ] && [ "$code" -gt 128 ]; then
  case "$(kill -l $((code - 128)))" in "$stop_signal" | TERM) code=75 ;; esac
fi

# Killed because it hung: as if it had been interrupted.
case "$code:$(last_event)" in 137:*'"event":"hung"'*) code=75 ;; esac

if [ "$code" = 0 ]; then
  note end 0 finished
  exit 0
fi
if cancelled; then
  note end "$code" cancelled
  exit 0
fi
if [ "$code" != 75 ]; then
  note end "$code" failed
  exit "$code"
fi

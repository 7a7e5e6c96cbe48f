# What a file's time is compared with must come from the same clock: that of the file system, not of this machine.
file_clock() {
  { trial=$(mktemp "$root/.now-XXXXXX" 2>/dev/null) && stat -c %Y "$trial"; } || date +%s
  [ -n "$trial" ] && rm -f "$trial"
}
# The heartbeat that came last: the run's own, or that of a further stage.
heartbeat_of() {
  {
    echo "$1/heartbeat.json"
    for config in "$1"/submit/config-stage-*.yaml; do
      stage=$1-${config##*/config-}
      echo "${stage%.yaml}/heartbeat.json"
    done
  } | while read -r beat; do [ -e "$beat" ] && echo "$(stat -c %Y "$beat") $beat"; done | sort -n | tail -n 1
}
section file_clock
file_clock
i=0
list_runs | {
  while read -r d; do
    [ -e "$d/submit/job.json" ] || continue
    section "run$i"
    echo "$d"
    for file in submit/job.json submit/cancel exit.json; do
      section "run$i.${file##*/}"
      cat "$d/$file" 2>/dev/null
    done
    latest=$(heartbeat_of "$d")
    at=$d/heartbeat.json
    section "run$i.beat"
    if [ -n "$latest" ]; then
      at=${latest#* }
      echo "${latest%% *}"
      cat "$at"
    fi
    section "run$i.events"
    tail -n 40 "$d/submit/attempts.jsonl" 2>/dev/null
    section "run$i.after"
    [ -e "$d/submit/after" ] && while IFS= read -r other; do
      printf '%s\t%s\n' "$other" "$(last_event "$(cat "$other/submit/job.id" 2>/dev/null)" "$other/submit")"
    done <"$d/submit/after"
    section "run$i.metrics"
    tail -n 1 "${at%/*}/metrics.jsonl" 2>/dev/null | cut -c 1-400
    job=$(cat "$d/submit/job.id" 2>/dev/null)
    ended=$(last_event "$job" "$d/submit" | grep -E '"next":"(finished|failed|cancelled|gave up|not prepared)"')
    section "run$i.said"
    [ -n "$job" ] && [ -z "$ended" ] && ask "$job" "$d"
    case "$ended" in
      *'"finished"'* | *'"cancelled"'*) ;;
      *)
        section "run$i.tail"
        log=$(sed -n 's/^ *"log": "\(.*\)",*$/\1/p' "$d/submit/job.json")
        tail -c 8000 "$log" 2>/dev/null | tail -n "$tail_lines"
        ;;
    esac
    i=$((i + 1))
  done
  section now
  date +%s
}

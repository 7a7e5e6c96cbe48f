i=0
list_runs | {
  while read -r d; do
    [ -e "$d/submit/job.json" ] || continue
    section "run$i"
    echo "$d"
    for file in submit/job.json submit/cancel exit.json heartbeat.json; do
      section "run$i.${file##*/}"
      cat "$d/$file" 2>/dev/null
    done
    section "run$i.events"
    tail -n 40 "$d/submit/attempts.jsonl" 2>/dev/null
    section "run$i.metrics"
    tail -n 1 "$d/metrics.jsonl" 2>/dev/null | cut -c 1-400
    job=$(cat "$d/submit/job.id" 2>/dev/null)
    ended=$(last_event "$job" "$d/submit" | grep -E '"next":"(finished|failed|cancelled|gave up)"')
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

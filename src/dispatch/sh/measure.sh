# Of runs that this host had on such a chip: their configuration and last metrics.
i=0
tell() {
  [ -s "$1/metrics.jsonl" ] || return 0
  grep -qF "$host" "$1/submit/job.json" 2>/dev/null && grep -qF "$chip" "$1/submit/job.json" || return 0
  section "run$i"
  echo "$1"
  section "run$i.config"
  cat "$1/config.resolved.yaml" 2>/dev/null
  section "run$i.metrics"
  tail -n 30 "$1/metrics.jsonl" | cut -c 1-400
  i=$((i + 1))
}
tell "$own"
for file in $(ls -t "$root"/runs/*/*/*/metrics.jsonl 2>/dev/null | head -n 30); do
  [ "$i" -lt 6 ] && [ "${file%/metrics.jsonl}" != "$own" ] && tell "${file%/metrics.jsonl}"
done
:

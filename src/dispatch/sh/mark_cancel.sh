job=$(cat "$submit/job.id") || exit 41
last=$(tail -n 1 "$submit/attempts.jsonl" 2>/dev/null)
case "$last" in
  # A job that was started by hand since.
  *'"event":"start"'* | *'"event":"waiting"'*) job=$(printf '%s\n' "$last" | sed 's/.*"job":"\([^"]*\)".*/\1/') ;;
esac
{ echo "$job" >"$submit/cancel.new" && mv -f "$submit/cancel.new" "$submit/cancel"; } || exit 42

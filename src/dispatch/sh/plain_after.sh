# Jobs that make what this one reads must have finished; their folders are in a file.
is_alive() {
  [ -n "$1" ] && [ "$(sed -n -e 's/.*) //' -e '/^[^Z]/p' "/proc/${1%%.*}/stat" 2>/dev/null | cut -d ' ' -f 20)" = "${1#*.}" ]
}
data_made() {
  local folder maker alive last
  while IFS= read -r folder; do
    maker=$(cat "$folder/submit/job.id" 2>/dev/null)
    alive=
    is_alive "$maker" && alive=1
    last=$(grep -F "\"job\":\"$maker\"" "$folder/submit/attempts.jsonl" 2>/dev/null | tail -n 1)
    case "$last" in *'"next":"finished"'*) continue ;; esac
    [ -n "$alive" ] && return 1
    echo "== does not begin: the job of $folder, which makes its data, did not finish" >&2
    note end 3 "not prepared"
    exit 3
  done <"$submit_dir/after"
}

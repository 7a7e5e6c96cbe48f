# Jobs that make what this one reads must have finished; their folders are in a file.
is_alive() {
  [ "$(sed -n -e 's/.*) //' -e '/^[^Z]/p' "/proc/${1%%.*}/stat" 2>/dev/null | cut -d ' ' -f 20)" = "${1#*.}" ]
}
# Nobody here can tell whether a job of another machine or of SLURM lives: its events must.
is_elsewhere() {
  local machine=
  read -r machine _ <"$1/submit/job.host" 2>/dev/null
  [[ $2 != *.* ]] || [ "$machine" != "$(hostname)" ]
}
data_made() {
  local folder maker over last
  while IFS= read -r folder; do
    maker=$(cat "$folder/submit/job.id" 2>/dev/null)
    over=1
    is_elsewhere "$folder" "$maker" && over=
    [ -n "$over" ] && is_alive "$maker" && over=
    last=$(grep -F "\"job\":\"$maker\"" "$folder/submit/attempts.jsonl" 2>/dev/null | tail -n 1)
    case "$last" in
      *'"next":"finished"'*) continue ;;
      *'"event":"end"'*'"next":"requeue"'*) ;;
      *'"event":"end"'*) over=1 ;;
    esac
    [ -z "$over" ] && return 1
    echo "== does not begin: the job of $folder, which makes its data, did not finish" >&2
    note end 3 "not prepared"
    exit 3
  done <"$submit_dir/after"
}

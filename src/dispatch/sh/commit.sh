fail() {
  echo "$2"
  exit "$1"
}

errors=$(mktemp) || fail 20 'cannot write to the folder for temporary files'
done_well=
made=
locks=
handed=
clean_up() {
  code=$?
  rm -f "$errors"
  for lock in $locks; do
    rm -f "${lock%/lock}"/*.new
    rm -rf "$lock"
  done
  # Nothing is left of a run that this would have begun.
  if [ -z "$done_well" ]; then
    for folder in $made; do
      [ -s "$folder/submit/intent" ] || [ -s "$folder/submit/job.id" ] || rm -rf "$folder"
    done
    # Jobs that make data for one that SLURM refused; where it fell silent, it may have taken that one.
    # shellcheck disable=SC2086 # a list
    [ -n "$handed" ] && [ "$code" != 25 ] && scancel $handed
  fi
}
trap clean_up EXIT
# From here on a lost connection must not stop it half-way.
trap '' HUP PIPE

# `open_run FOLDER LOG`: makes its folders and takes the lock of its submissions.
open_run() {
  mkdir -p "${1%/*}" || fail 20 "cannot make ${1%/*}"
  # Only one of two that come at once makes the folder.
  mkdir "$1" 2>/dev/null && made="$made $1"
  mkdir -p "$1/logs" "$1/submit" "${2%/*}" || fail 20 "cannot make the folders of $1"
  if ! take_lock "$1/submit/lock"; then
    made=
    fail 21 "busy - $1/submit"
  fi
  locks="$locks $1/submit/lock"
}

live() {
  echo "live $1 $2"
  exit 22
}

# `refuse_live SUBMIT`: a run whose job may still live is left alone.
refuse_live() {
  if [ -s "$1/job.id" ]; then
    id=$(cat "$1/job.id")
    case "$(last_event "$id" "$1")" in
      *'"event":"end"'*'"next":"requeue"'* | *'"event":"end"'*'"next":"stopped"'*) state=$(job_state "$id" "$1") ;;
      *'"event":"end"'*) state=gone ;;
      *) state=$(job_state "$id" "$1") ;;
    esac
    case "$state" in
      pending* | running*) live "$id" "$1" ;;
      unknown*) fail 23 "job $id" ;;
    esac
  fi
  if [ -s "$1/intent" ]; then
    # A submission that nobody saw the end of: SLURM knows its job by the comment.
    jobs=$(squeue -h -a -u "$(id -un)" -o '%i %k' 2>/dev/null) || fail 23 'an earlier submission'
    id=$(printf '%s\n' "$jobs" | grep -F "theseus:$(cat "$1/intent")" | head -n 1 | cut -d ' ' -f 1)
    if [ -n "$id" ]; then
      record "$1" "$id" >/dev/null
      live "$id" "$1"
    fi
  fi
}

# `receive MASK BYTES HASH FILE`: the next bytes of what this script reads.
receive() {
  (
    umask "$1"
    rm -f "$4.new"
    head -c "$2" >"$4.new"
  ) || fail 20 "cannot write $4"
  [ "$(sha256sum <"$4.new" | cut -c 1-64)" = "$3" ] || fail 26 "${4##*/} arrived damaged"
}

# `place SUBMIT FILE...`: all files of one run at once.
place() {
  folder=$1
  shift
  rm -f "$folder/after"
  for file in "$@"; do mv -f "$folder/$file.new" "$folder/$file" || fail 20 "cannot write $folder/$file"; done
}

# `begin_submission SUBMIT SUBMISSION`: events of jobs that were started by hand since come after this line, whatever clocks say.
begin_submission() { printf '{"event":"submitted","submission":"%s","time":%d}\n' "$2" "$now" >>"$1/attempts.jsonl"; }

# `record SUBMIT JOB`
record() {
  echo "$2" >"$1/job.id.new" && mv -f "$1/job.id.new" "$1/job.id"
  sed -e "s/@JOB@/$2/" -e "s/\"@TIME@\"/$now/" "$1/job.json" >"$1/job.json.new" && mv -f "$1/job.json.new" "$1/job.json"
  rm -f "$1/cancel" "$1/intent"
  echo "job $2 $now"
}

# `start_plain SUBMIT LOG SUBMISSION`: a process group of its own, with none of the variables that are set here.
start_plain() {
  rm -f "$1/progress"
  begin_submission "$1" "$3"
  (
    trap - HUP PIPE
    exec env -i HOME="$HOME" PATH="$PATH" USER="$(id -un)" LOGNAME="$(id -un)" SHELL="${SHELL:-/bin/sh}" \
      LANG="${LANG:-C.UTF-8}" setsid bash "$1/job.sh" </dev/null >>"$2" 2>&1
  ) &
  pid=$!
  echo "$(hostname) $(cat /proc/sys/kernel/random/boot_id)" >"$1/job.host"
  record "$1" "$pid.$(started_of "$pid")"
}

# `hand_over SUBMISSION SUBMIT... -- SBATCH-WORD...`: sets id. Exit codes of sbatch do not tell whether the job was taken.
hand_over() {
  command -v sbatch >/dev/null || fail 24 'there is no sbatch'
  submission=$1
  shift
  submits=
  while [ "$1" != -- ]; do
    submits="$submits $1"
    begin_submission "$1" "$submission"
    echo "$submission" >"$1/intent"
    shift
  done
  shift
  # Nothing of the submitter's own variables goes with the job.
  id=$(sbatch --export=NONE --parsable "$@" 2>"$errors")
  id=${id%%;*}
  rm -f "$queue_file"
  [ -n "$id" ] && return
  said=$(grep -v '^$' "$errors" | tail -n 1)
  case "$(cat "$errors")" in
    *'Unable to contact'* | *'timed out'* | *'onnection refused'* | *'Zero Bytes'* | *'Socket'*) fail 25 "$said" ;;
  esac
  for submit in $submits; do rm -f "$submit/intent"; done
  fail 24 "$said"
}

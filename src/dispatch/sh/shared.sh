# Nothing for a process that is gone, or dead and only not yet buried by its parent.
started_of() { sed -n -e 's/.*) //' -e '/^[^Z]/p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
# The last event that a job of this name noted.
last_event() { grep -F "\"job\":\"$1\"" "$2/attempts.jsonl" 2>/dev/null | tail -n 1; }
# A folder appears whole or not at all, with its owner inside.
take_lock() {
  rm -rf "$1.$$"
  mkdir "$1.$$" && echo "$(hostname) $$ $(started_of $$)" >"$1.$$/owner" || return 2
  mv -T "$1.$$" "$1" 2>/dev/null && return 0
  if read -r lock_host lock_pid lock_started <"$1/owner" 2>/dev/null && [ "$lock_host" = "$(hostname)" ] &&
    [ "$(started_of "$lock_pid")" != "$lock_started" ] && mv -T "$1" "$1.stale.$$" 2>/dev/null; then
    if grep -qF "$lock_pid $lock_started" "$1.stale.$$/owner"; then
      rm -rf "$1.stale.$$"
      mv -T "$1.$$" "$1" 2>/dev/null && return 0
    else
      mv -T "$1.stale.$$" "$1"
    fi
  fi
  rm -rf "$1.$$"
  return 1
}

# The job's name says when its process began: no other process is ever hit.
pid=${job%%.*}
started=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)
[ "$started" = "${job#*.}" ] || exit 43
kill -s TERM -- "-$pid"

# A job's name is a process and when it began; the host and its boot stand beside it.
job_state() {
  read -r job_host job_boot <"$2/job.host" 2>/dev/null || { echo unknown; return; }
  [ "$job_host" = "$(hostname)" ] || { echo unknown; return; }
  [ "$job_boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || { echo 'gone REBOOTED'; return; }
  if [ "$(started_of "${1%%.*}")" = "${1#*.}" ]; then echo 'running RUNNING'; else echo 'gone KILLED'; fi
}

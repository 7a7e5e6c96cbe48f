# `wait_for COMMAND [WHAT]`: until it succeeds, or the job is cancelled.
wait_for() {
  local waiting=
  until "$1"; do
    [ -z "$waiting" ] && note waiting 0 "${2:-}" && waiting=1
    if cancelled; then
      note end 75 cancelled
      exit 0
    fi
    sleep 1
  done
}

take_slot() {
  local index
  for ((index = 0; index < slot_count; index++)); do
    lock "$slot_name-$index" && THESEUS_SLOT=$index && return 0
  done
  return 1
}
[ -z "${THESEUS_SLOT:-}" ] && wait_for take_slot
export THESEUS_SLOT

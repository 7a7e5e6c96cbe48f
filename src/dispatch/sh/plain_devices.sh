# Devices of this job alone: neither locked by another job nor busy with somebody else's work.
free_devices() {
  nvidia-smi --query-gpu=index,uuid --format=csv,noheader | while IFS=', ' read -r index uuid; do
    nvidia-smi --query-compute-apps=gpu_uuid --format=csv,noheader 2>/dev/null | grep -qF "$uuid" || echo "$index"
  done
}
take_devices() {
  local kept=${#held[@]} taken=() index descriptor gate
  exec {gate}>>"$locks/gate-$(id -u)" && flock "$gate"
  for index in $(free_devices); do
    [ "${#taken[@]}" -lt "$device_count" ] && lock "gpu-$index" && taken+=("$index")
  done
  exec {gate}>&-
  if [ "${#taken[@]}" -ge "$device_count" ]; then
    THESEUS_DEVICES=$(IFS=, && echo "${taken[*]}")
    return 0
  fi
  # All or none: two jobs that each keep some while they wait for more would wait for ever.
  for descriptor in "${held[@]:kept}"; do exec {descriptor}<&-; done
  held=("${held[@]:0:kept}")
  return 1
}
[ -z "${THESEUS_DEVICES:-}" ] && wait_for take_devices
export THESEUS_DEVICES CUDA_VISIBLE_DEVICES="$THESEUS_DEVICES"

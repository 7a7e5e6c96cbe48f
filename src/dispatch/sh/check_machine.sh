section system
uname -srm
ldd --version 2>&1 | head -n 1
section cpu
grep -m 1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'avx2|fma|avx512f|amx_bf16' | tr '\n' ' '
section tools
for tool in $tools; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done
section virtual
# shellcheck disable=SC3045 # every shell of Linux has it
ulimit -v
section work
if mkdir -p "$work" 2>&1 && trial=$(mktemp "$work/.check-XXXXXX" 2>&1); then
  printf '#!/bin/sh\necho ran\n' >"$trial"
  chmod 755 "$trial"
  "$trial" 2>&1
  rm -f "$trial"
fi
section space
for folder in "$root" "$work"; do
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  df -Pk "$folder" | tail -n 1 | while read -r _ _ _ free _ at; do echo "$free $at"; done
done
section quota
command -v quota >/dev/null 2>&1 && quota -w 2>/dev/null | tail -n +3
section driver
command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>&1 | head -n 1
section libraries
for name in libcuda.so.1 libcublasLt.so.13 libnccl.so.2; do
  found=$(find_library "$name")
  [ -n "$found" ] && echo "$found"
done

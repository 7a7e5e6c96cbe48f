# Variables of the host and of the submission; the file is readable by its owner only.
set -a
# shellcheck source=/dev/null
[ -r "$submit_dir/env" ] && . "$submit_dir/env"
set +a
# Libraries that theseus hosts --setup brought.
libraries=${binary%/bin/*}/lib
if [ -d "$libraries" ]; then
  export THESEUS_CUDA_LIBRARIES="${THESEUS_CUDA_LIBRARIES:+$THESEUS_CUDA_LIBRARIES:}$libraries"
  export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
# All that the run needs is here already; nothing is fetched while a device is held.
export HF_HUB_OFFLINE=1

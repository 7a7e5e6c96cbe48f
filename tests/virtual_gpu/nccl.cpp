/// A stand-in for NCCL, libnccl.so.2. A run has one GPU so far, so all that is asked of it is its version.
extern "C" __attribute__((visibility("default"))) int ncclGetVersion(int* version) {
    const int invalid_argument = 4;
    if (version == nullptr) return invalid_argument;
    *version = 22805;
    return 0;
}

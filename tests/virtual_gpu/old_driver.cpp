/// A driver that lacks most functions, as one that is far too old does.
extern "C" __attribute__((visibility("default"))) int cuInit(unsigned) { return 0; }

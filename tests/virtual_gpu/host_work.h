/// What another stand-in puts into a stream of the virtual driver: a function with a copy of its parameters, and how long events
/// are to say that it took.
#pragma once
#include <stdint.h>

struct HostWork {
    void (*run)(const void* parameters);
    double cost_ms;
    /// Whether its code is on the GPU, which loads code when it is first used.
    bool* loaded;
    uint8_t parameters[384];
};

extern "C" int theseus_virtual_gpu_work(struct Stream* stream, const HostWork* work);
/// Whether the calling thread has one.
extern "C" bool theseus_virtual_has_context();
/// A number from the environment, or what a test has set instead.
extern "C" uint64_t theseus_virtual_setting(const char* name, uint64_t otherwise);

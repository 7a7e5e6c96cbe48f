/// cp.async of one thread: a copy is performed only when its group is waited for, and until then its destination holds NaN,
/// so a kernel that reads too early computes NaN, whatever a GPU's timing would hide. wgmma sees shared memory through a view of
/// its own (PTX: the async proxy), into which a thread has to publish what it brought.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace simt {

/// A kernel did what a GPU does not allow or leaves undefined.
[[noreturn]] inline void stop(const char* problem) {
    fprintf(stderr, "virtual GPU: %s\n", problem);
    abort();
}

/// Shared memory of a GPU has at most so much.
const unsigned shared_most = 227 << 10;

/// Shared memory of the block as wgmma sees it.
struct AsyncView {
    unsigned char* shared;
    unsigned char bytes[shared_most];

    void begin(unsigned char* from, size_t size) {
        shared = from;
        memset(bytes, 0xff, size);
    }
    unsigned char* of(const unsigned char* at) { return bytes + (at - shared); }
};
inline AsyncView async_view;

struct AsyncCopies {
    struct Copy {
        unsigned char* to;
        /// Null: zeros.
        const void* from;
        uint32_t bytes;
    };
    static const int copies_max = 192, groups_max = 16;
    Copy copies[copies_max];
    int count, groups;
    /// Number of copies up to the end of each group.
    int ends[groups_max];
    /// What has landed and is not published.
    static const int fresh_max = 64;
    Copy fresh[fresh_max];
    int fresh_count;
    /// More landed than is kept: kernels without wgmma never publish.
    bool lost;

    void clear() {
        count = groups = fresh_count = 0;
        lost = false;
    }

    void add(unsigned char* to, const void* from, uint32_t bytes) {
        if (count == copies_max) stop("more cp.async in flight than are kept");
        memset(to, 0xff, bytes);
        memset(async_view.of(to), 0xff, bytes);
        copies[count++] = {to, from, bytes};
    }

    void commit() {
        if (groups == groups_max) stop("more groups of cp.async in flight than are kept");
        ends[groups++] = count;
    }

    /// All but the last `most` groups land.
    void wait(int most) {
        int done = groups > most ? groups - most : 0, landed = done > 0 ? ends[done - 1] : 0;
        for (int i = 0; i < landed; i++) {
            if (copies[i].from) memcpy(copies[i].to, copies[i].from, copies[i].bytes);
            else memset(copies[i].to, 0, copies[i].bytes);
            if (fresh_count < fresh_max) fresh[fresh_count++] = copies[i];
            else lost = true;
        }
        for (int i = landed; i < count; i++) copies[i - landed] = copies[i];
        for (int g = done; g < groups; g++) ends[g - done] = ends[g] - landed;
        count -= landed;
        groups -= done;
    }

    /// Stricter than PTX, where whoever knows of the copy may publish it.
    void publish() {
        if (lost) stop("more copies were not published than are kept");
        for (int i = 0; i < fresh_count; i++) memcpy(async_view.of(fresh[i].to), fresh[i].to, fresh[i].bytes);
        fresh_count = 0;
    }
};

}  // namespace simt

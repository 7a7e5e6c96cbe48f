/// cp.async of one thread: a copy is performed only when its group is waited for, and until then its destination holds NaN,
/// so a kernel that reads too early computes NaN, whatever a GPU's timing would hide.
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

    void clear() { count = groups = 0; }

    void add(unsigned char* to, const void* from, uint32_t bytes) {
        if (count == copies_max) stop("more cp.async in flight than are kept");
        memset(to, 0xff, bytes);
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
        }
        for (int i = landed; i < count; i++) copies[i - landed] = copies[i];
        for (int g = done; g < groups; g++) ends[g - done] = ends[g] - landed;
        count -= landed;
        groups -= done;
    }
};

}  // namespace simt

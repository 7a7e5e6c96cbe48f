/// What one thread knows of its wgmma: groups that it has ended and waited for, and registers that it has handed over.
#pragma once
#include <stdint.h>
#include <string.h>

namespace simt {

struct ThreadProducts {
    /// Registers as `wgmma_settle` found them.
    struct Settled {
        const unsigned char* at;
        uint32_t bytes;
        /// The fence that hands them over has come.
        bool fenced;
        unsigned char values[256];
    };
    static const int settled_max = 8;
    Settled settled[settled_max];
    int settled_count, settled_next;
    /// A fence has come since the last wait.
    bool fenced;
    uint64_t committed, done;
    /// Products since the last commit.
    unsigned open;

    void clear() {
        settled_count = settled_next = 0;
        fenced = false;
        committed = done = 0;
        open = 0;
    }

    bool are_pending() const { return open > 0 || done < committed; }

    void settle(const void* at, uint32_t bytes) {
        const unsigned char* from = (const unsigned char*)at;
        int place = 0;
        while (place < settled_count && settled[place].at != from) place++;
        if (place == settled_count) {
            if (settled_count < settled_max) settled_count++;
            else place = settled_next++ % settled_max;
        }
        settled[place].at = from;
        settled[place].bytes = bytes;
        settled[place].fenced = false;
        memcpy(settled[place].values, at, bytes);
    }

    void fence() {
        fenced = true;
        for (int i = 0; i < settled_count; i++) settled[i].fenced = true;
    }

    /// Whether these registers were settled, then fenced, and have not been written since.
    bool has(const void* at, uint32_t bytes) const {
        const unsigned char* from = (const unsigned char*)at;
        for (int i = 0; i < settled_count; i++) {
            const Settled& s = settled[i];
            if (from < s.at || from + bytes > s.at + s.bytes) continue;
            return s.fenced && memcmp(from, s.values + (from - s.at), bytes) == 0;
        }
        return false;
    }
};

}  // namespace simt

/// cumsum: running sums along one dim, in order (f32 in f64, integers wrap); a thread a line. Words: dim, exclusive, reverse.
#pragma once
#include "theseus.h"

template <class T, class Wide> DEV void run_line(T* out, const T* in, u64 n, u64 step, bool exclusive, bool reverse) {
    Wide sum = 0;
    for (u64 j = 0; j < n; j++) {
        u64 at = (reverse ? n - 1 - j : j) * step;
        Wide next = sum + (Wide)in[at];
        out[at] = (T)(exclusive ? sum : next);
        sum = next;
    }
}

KERNEL(cumsum) {
    const Operand &in = task.operands[0], &out = task.operands[1];
    u32 dim = task.words[0];
    u64 n = in.dims[dim], inner = 1;
    for (u32 d = dim + 1; d < in.rank; d++) inner *= in.dims[d];
    u64 lines = count_of(in) / n;
    for (u64 line = thread_index(); line < lines; line += thread_count()) {
        u64 at = line / inner * n * inner + line % inner;
        bool exclusive = task.words[1] == 1, reverse = task.words[2] == 1;
        if (in.dtype == F32)
            run_line<float, double>(pointer<float>(out) + at, pointer<float>(in) + at, n, inner, exclusive, reverse);
        else
            run_line<u32, u32>(pointer<u32>(out) + at, pointer<u32>(in) + at, n, inner, exclusive, reverse);
    }
}

/// adamw: as torch.optim.AdamW (amsgrad off). Scalars: learning rate, beta1, beta2, eps, weight decay, gradient scale,
/// step, apply; apply 0 leaves everything as it was.
#pragma once
#include "theseus.h"

KERNEL(adamw) {
    const Operand* o = task.operands;
    const float* s = pointer<float>(o[4]);
    float *p_out = pointer<float>(o[5]), *m_out = pointer<float>(o[6]), *v_out = pointer<float>(o[7]);
    bool applies = s[7] != 0.0f;
    // Worked out in f64, then rounded.
    double beta1 = s[1], beta2 = s[2];
    float keep = (float)(1.0 - (double)s[0] * (double)s[4]);
    float rate = (float)((double)s[0] / (1.0 - pow(beta1, (double)s[6])));
    float root = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)s[6])));
    float slow1 = (float)(1.0 - beta1), slow2 = (float)(1.0 - beta2), scale = s[5];
    u64 n = count_of(o[0]);
    for (u64 i = thread_index(); i < n; i += thread_count()) {
        float p = pointer<float>(o[0])[i], m = pointer<float>(o[1])[i], v = pointer<float>(o[2])[i];
        if (applies) {
            float g = pointer<float>(o[3])[i] * scale;
            m = fmaf(slow1, g - m, m);
            v = fmaf(g * slow2, g, v * s[2]);
            p = p * keep - rate * m / fmaf(sqrtf(v), root, s[3]);
        }
        p_out[i] = p;
        m_out[i] = m;
        v_out[i] = v;
    }
}

/// linear_cross_entropy_grad: see linear_cross_entropy.cu.
#pragma once
#include "linear_cross_entropy.cu"

KERNEL(linear_cross_entropy_grad) {
    SHARED(float, shared);
    chunk_loss(task, fault, true, shared);
}

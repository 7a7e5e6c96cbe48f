/// embedding: see gather.cu.
#pragma once
#include "gather.cu"

KERNEL(embedding) { gather_rows(task, fault, task.operands[1], task.operands[0], task.operands[2]); }

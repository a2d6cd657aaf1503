// The C core: pointers, sizes and strides, nothing of models. One header and one source file an operation.
#ifndef CKERNELS_H
#define CKERNELS_H

#include "ck_attention.h"
#include "ck_blocks.h"
#include "ck_candidates.h"
#include "ck_convert.h"
#include "ck_differences.h"
#include "ck_dropout.h"
#include "ck_groups.h"
#include "ck_isa.h"
#include "ck_limits.h"
#include "ck_matmul.h"
#include "ck_optimizer.h"
#include "ck_planes.h"
#include "ck_quantized.h"
#include "ck_rows.h"
#include "ck_softmax.h"
#include "ck_statistics.h"
#include "ck_threads.h"

#endif

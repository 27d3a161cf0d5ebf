/* What the files of the exported CUDA runtime share. */
#ifndef ARCHSIM_CUDA_RUNTIME_H
#define ARCHSIM_CUDA_RUNTIME_H

#include "core.h"

typedef int cudaError_t;
typedef void *cudaStream_t, *cudaEvent_t;
typedef as_dim3 dim3;

#define CALL(expression) return as_note(expression)
/* -default-stream per-thread renames calls: same arguments, and one order serves both kinds of default stream. */
#define PTDS(name) extern __typeof__(name) name##_ptds __attribute__((alias(#name)))
#define PTSZ(name) extern __typeof__(name) name##_ptsz __attribute__((alias(#name)))

#endif

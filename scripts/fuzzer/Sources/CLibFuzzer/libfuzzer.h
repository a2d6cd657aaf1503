// libFuzzer's entry for programs with a main of their own, and its own mutations, for those that mutate by themselves. The library is the toolchain's.
#ifndef LIBFUZZER_H
#define LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nonnull *_Nonnull argv, int (*_Nonnull callback)(const uint8_t *_Nullable data, size_t size));

size_t LLVMFuzzerMutate(uint8_t *_Nonnull data, size_t size, size_t max_size);

#endif

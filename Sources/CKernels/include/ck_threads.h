// One pool of threads for all kernels, and memory that each thread may scribble on.
#ifndef CK_THREADS_H
#define CK_THREADS_H

#include <stddef.h>

// How many threads work on one operation, the calling one included. Until it is set: the CPUs that this process may use.
// A new number holds from the next operation on.
void ck_set_threads(int count);
int ck_threads(void);

typedef void (*ck_task)(void *_Nullable context, size_t index);

// Runs task(context, i) for every i below count; each index once, by whichever thread is free, so a result must not depend on which.
// A call from inside a task, or while another thread has the pool, runs all its indices on the caller.
void ck_parallel_for(size_t count, ck_task _Nonnull task, void *_Nullable context);

typedef void (*ck_range)(void *_Nullable context, size_t first, size_t end);

// The same with neighbours at a time, `most` (at least 1) of them at most: range(context, first, end) for indices [first, end). Each thread has a share of
// neighbours that it goes through in order, half of what is left of it at a time; one that has done its share takes half of another's.
void ck_parallel_ranges(size_t count, size_t most, ck_range _Nonnull range, void *_Nullable context);

// At least `bytes` bytes, aligned to 64, that belong to the calling thread until its next call: a task that holds them calls no kernel that
// takes some itself.
void *_Nonnull ck_scratch(size_t bytes);

// The same, apart from it, for what a kernel shares with its tasks, which may take scratch memory of their own.
void *_Nonnull ck_shared_scratch(size_t bytes);

#endif

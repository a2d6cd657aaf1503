#define _GNU_SOURCE
#include "ck_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Waiting workers spin for some ten microseconds, the gap between two operations of a forward pass, before they sleep.
enum { MAX_THREADS = 256, SPINS = 4000, OPERATION_SHIFT = 16, OPEN = 1 << 15, INSIDE = OPEN - 1 };

// The indices [first, end) that a thread has yet to do, first in the upper half; on a cache line of its own.
typedef struct {
    _Alignas(64) _Atomic(uint64_t) indices;
} share;

static uint64_t share_of(size_t first, size_t end) { return (uint64_t)first << 32 | end; }
static size_t share_first(uint64_t indices) { return indices >> 32; }
static size_t share_end(uint64_t indices) { return (uint32_t)indices; }
static size_t share_length(uint64_t indices) { return share_end(indices) - share_first(indices); }

static struct {
    pthread_mutex_t owner;   // held by the thread whose parallel_for is running
    pthread_mutex_t lock;    // guards sleeping and waking
    pthread_cond_t wake;
    atomic_int threads;      // what ck_threads tells, 0 until it is known
    int active, started;     // threads of the running parallel_for, the caller included; workers that exist
    share shares[MAX_THREADS];
    // The operation's number, grows by one for every parallel_for; whether a worker may still enter; how many are inside. The caller waits for
    // those inside only: a worker that wakes too late finds the door closed.
    _Atomic(uint64_t) door;
    size_t base, most;  // base: what an index of a share counts from
    ck_range range;
    void *context;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static __thread int inside;

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// CPUs that one control group's cpu.max grants, rounded up; `otherwise` where it grants all or there is none.
static long granted(const char *directory, long otherwise) {
    char path[4096 + 16];
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    FILE *file = fopen(path, "re");
    long quota = 0, period = 0;
    int found = file ? fscanf(file, "%ld %ld", &quota, &period) : 0;
    if (file) fclose(file);
    return found == 2 && quota > 0 && period > 0 ? (quota + period - 1) / period : otherwise;
}

// The least that the process's control group (version 2) and its parents grant: how containers limit CPUs without hiding them.
static long group_limit(long cpus) {
    char line[4096], path[4096] = "/sys/fs/cgroup";
    size_t root = strlen(path);
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) snprintf(path + root, sizeof path - root, "%s", line + 3);
    if (file) fclose(file);
    path[strcspn(path, "\n")] = 0;
    for (;;) {
        long limit = granted(path, cpus);
        cpus = limit < cpus ? limit : cpus;
        char *last = strrchr(path + root, '/');
        if (!last) return cpus;
        *last = 0;
    }
}

static int available_cpus(void) {
    cpu_set_t set;
    // A machine with more CPUs than the set has room for: all that are online.
    long count = group_limit(sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN));
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int)count;
}

// Half of what the thread still has to do, at least one index: long runs first, short ones last, for the others to take a part.
static int take_own(share *own, size_t *first, size_t *end) {
    uint64_t had = atomic_load_explicit(&own->indices, memory_order_relaxed);
    for (size_t half, length; share_length(had) > 0;) {
        half = share_length(had) / 2, length = half > pool.most ? pool.most : half < 1 ? 1 : half;
        *first = share_first(had), *end = *first + length;
        if (atomic_compare_exchange_weak_explicit(&own->indices, &had, share_of(*end, share_end(had)), memory_order_relaxed, memory_order_relaxed))
            return 1;
    }
    return 0;
}

// Makes the later half of what the thread with the longest share has to do its own. No thread sees a share twice as it was: indices never come back.
static int take_from_others(share *own) {
    for (;;) {
        share *longest = own;
        uint64_t had = 0;
        for (share *other = pool.shares; other < pool.shares + pool.active; other++) {
            uint64_t has = atomic_load_explicit(&other->indices, memory_order_relaxed);
            if (share_length(has) > share_length(had)) longest = other, had = has;
        }
        if (longest == own) return 0;
        size_t middle = share_first(had) + share_length(had) / 2, end = share_end(had);
        if (!atomic_compare_exchange_strong_explicit(
                &longest->indices, &had, share_of(share_first(had), middle), memory_order_relaxed, memory_order_relaxed))
            continue;
        atomic_store_explicit(&own->indices, share_of(middle, end), memory_order_relaxed);
        return 1;
    }
}

// Every thread goes through a share of its own, in order, so that it reads memory on from where it was; then it helps the others.
static void take_ranges(int thread) {
    inside = 1;
    share *own = &pool.shares[thread];
    do
        for (size_t first, end; take_own(own, &first, &end);) pool.range(pool.context, pool.base + first, pool.base + end);
    while (take_from_others(own));
    inside = 0;
}

static uint64_t current_operation(void) { return atomic_load_explicit(&pool.door, memory_order_relaxed) >> OPERATION_SHIFT; }

// Waits for an operation other than `seen`.
static uint64_t next_operation(uint64_t seen) {
    uint64_t now;
    for (int i = 0; i < SPINS; i++) {
        if ((now = current_operation()) != seen) return now;
        pause_briefly();
    }
    pthread_mutex_lock(&pool.lock);
    while ((now = current_operation()) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    return now;
}

static int enter(uint64_t operation) {
    uint64_t door = atomic_load_explicit(&pool.door, memory_order_relaxed);
    while (door >> OPERATION_SHIFT == operation && door & OPEN)
        if (atomic_compare_exchange_weak_explicit(&pool.door, &door, door + 1, memory_order_acquire, memory_order_relaxed)) return 1;
    return 0;
}

static void *worker_main(void *number) {
    int worker = (int)(intptr_t)number;
    for (uint64_t seen = 0;;) {
        seen = next_operation(seen);
        if (!enter(seen)) continue;
        if (worker < pool.active) take_ranges(worker);
        atomic_fetch_sub_explicit(&pool.door, 1, memory_order_release);
    }
    return NULL;
}

// Starts the workers that are missing; where the system refuses one, goes on with those it gave. Called with `owner` held.
static void start_workers(void) {
    while (pool.started < pool.active - 1) {
        int worker = pool.started + 1;
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker_main, (void *)(intptr_t)worker) != 0) {
            pool.active = worker;
            atomic_store(&pool.threads, worker);
            return;
        }
        pthread_detach(thread);
        pool.started = worker;
    }
}

int ck_threads(void) {
    int threads = atomic_load(&pool.threads);
    if (threads > 0) return threads;
    int cpus = available_cpus();
    return atomic_compare_exchange_strong(&pool.threads, &threads, cpus) ? cpus : threads;
}

// Both take no lock, so that a task may call them.
void ck_set_threads(int count) { atomic_store(&pool.threads, count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : count); }

// Spreads `count` indices over the threads and returns when all are done.
static void run(size_t count) {
    size_t threads = (size_t)pool.active;
    for (size_t i = 0; i < threads; i++)
        atomic_store_explicit(&pool.shares[i].indices, share_of(count * i / threads, count * (i + 1) / threads), memory_order_relaxed);
    uint64_t door = (current_operation() + 1) << OPERATION_SHIFT;
    pthread_mutex_lock(&pool.lock);
    atomic_store_explicit(&pool.door, door | OPEN, memory_order_release);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    take_ranges(0);
    atomic_fetch_and_explicit(&pool.door, ~(uint64_t)OPEN, memory_order_relaxed);
    // A worker that is still inside may be waiting for this CPU.
    for (int i = 0; atomic_load_explicit(&pool.door, memory_order_acquire) & INSIDE; i++)
        if (i < SPINS)
            pause_briefly();
        else
            sched_yield();
}

void ck_parallel_ranges(size_t count, size_t most, ck_range range, void *context) {
    if (inside || count <= 1 || pthread_mutex_trylock(&pool.owner) != 0) {
        for (size_t first = 0, length; first < count; first += length) {
            length = count - first < most ? count - first : most;
            range(context, first, first + length);
        }
        return;
    }
    pool.active = ck_threads();
    start_workers();
    pool.most = most;
    pool.range = range;
    pool.context = context;
    for (pool.base = 0; count > UINT32_MAX; pool.base += UINT32_MAX, count -= UINT32_MAX) run(UINT32_MAX);
    run(count);
    pthread_mutex_unlock(&pool.owner);
}

typedef struct {
    ck_task task;
    void *context;
} each_index;

static void run_each(void *context, size_t first, size_t end) {
    const each_index *each = context;
    for (size_t i = first; i < end; i++) each->task(each->context, i);
}

void ck_parallel_for(size_t count, ck_task task, void *context) { ck_parallel_ranges(count, 1, run_each, &(each_index){task, context}); }

// A thread's two pieces of memory: that of a task, and that of the thread which runs tasks.
typedef struct {
    void *memory;
    size_t bytes;
} piece;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static __thread piece scratch[2];

static void free_scratch(void *pieces) {
    for (int i = 0; i < 2; i++) free(((piece *)pieces)[i].memory);
}

static void make_scratch_key(void) { pthread_key_create(&scratch_key, free_scratch); }

static void *take(piece *p, size_t bytes) {
    if (bytes <= p->bytes) return p->memory;
    pthread_once(&scratch_once, make_scratch_key);
    free(p->memory);
    bytes = (bytes + 4095) & ~(size_t)4095;
    p->memory = aligned_alloc(64, bytes);
    if (!p->memory) {
        fprintf(stderr, "out of memory: %zu bytes of scratch for a kernel\n", bytes);
        abort();
    }
    p->bytes = bytes;
    pthread_setspecific(scratch_key, scratch);
    return p->memory;
}

void *ck_scratch(size_t bytes) { return take(&scratch[0], bytes); }

void *ck_shared_scratch(size_t bytes) { return take(&scratch[1], bytes); }

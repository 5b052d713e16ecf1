// Preloaded into a Python (LD_PRELOAD): allocations by the code between two addresses fail
// when they are told to. test_memory.py gives the addresses of the compiled module.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uintptr_t from, to;
static long first_fails = -1, seen, failed;

void fail_between(uintptr_t low, uintptr_t high) {
    from = low;
    to = high;
}

// the n-th allocation from now fails; or none if n is negative. Returns how many have failed
long fail_at(long n) {
    long before = failed;
    first_fails = n;
    seen = failed = 0;
    return before;
}

static int fails(void *caller) {
    uintptr_t address = (uintptr_t)caller;
    if (first_fails < 0 || address < from || address >= to) return 0;
    int is_one = seen++ == first_fails;
    failed += is_one;
    return is_one;
}

// dlsym asks for memory itself, before it can say where memory is
static char early[1 << 16];
static size_t early_used;

static void *early_memory(size_t size) {
    size_t at = (early_used + 15) & ~(size_t)15;
    early_used = at + size;
    return early_used <= sizeof early ? early + at : NULL;
}

static int is_early(const void *memory) {
    return (const char *)memory >= early && (const char *)memory < early + sizeof early;
}

typedef void *Malloc(size_t);
typedef void *Calloc(size_t, size_t);
typedef void *Realloc(void *, size_t);
typedef void Free(void *);

static Malloc *real_malloc;
static Calloc *real_calloc;
static Realloc *real_realloc;
static Free *real_free;
static int is_looking;

static int found(void) {
    if (real_free) return 1;
    if (is_looking) return 0;
    is_looking = 1;
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_free = dlsym(RTLD_NEXT, "free");
    return 1;
}

void *malloc(size_t size) {
    if (!found()) return early_memory(size);
    return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

void *calloc(size_t n, size_t size) {
    if (!found()) return early_memory(n * size);
    return fails(__builtin_return_address(0)) ? NULL : real_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    if (!found() || is_early(old)) {
        void *memory = found() ? real_malloc(size) : early_memory(size);
        if (memory && old) memcpy(memory, old, size);
        return memory;
    }
    return fails(__builtin_return_address(0)) ? NULL : real_realloc(old, size);
}

void free(void *memory) {
    if (is_early(memory) || !found()) return;
    real_free(memory);
}

// Allocations that fail when a test says so. Link with
//
//     -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
//
// so that all of the program's calls come here.

#ifndef FAILING_H
#define FAILING_H

#include <stddef.h>

static int is_armed;      // only then is an allocation counted, or fails
static long allocations;  // calls of malloc, calloc and realloc
static long first_fails;  // the first of them that fails,
static long last_fails;   // and the last
static long failed;       // how many have failed
static long outstanding;  // blocks that have not been freed

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static int fails(void) {
    if (!is_armed) return 0;
    int is_one = allocations >= first_fails && allocations <= last_fails;
    allocations++;
    failed += is_one;
    return is_one;
}

static void *counted(void *memory) {
    outstanding += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size) {
    if (fails()) return NULL;
    void *memory = __real_realloc(old, size);
    outstanding += memory && !old;
    return memory;
}

void __wrap_free(void *memory) {
    outstanding -= memory != NULL;
    __real_free(memory);
}

#endif

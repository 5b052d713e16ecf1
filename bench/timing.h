// What the C programs here share: a clock and a median. Include it first: the clock is
// POSIX's, and the compiler is told C11.

#ifndef TIMING_H
#define TIMING_H

#define _POSIX_C_SOURCE 199309L
#include <stdlib.h>
#include <time.h>

static inline double now(void) {  // seconds
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static inline int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// sorts x; 0 if there is nothing in it
static inline double median(double *x, size_t n) {
    qsort(x, n, sizeof *x, ascending);
    return n ? x[n / 2] : 0.0;
}

#endif

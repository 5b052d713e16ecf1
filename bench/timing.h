// What the C programs here share: a clock, a median, and the loop over steps. Include it
// first: the clock is POSIX's, and the compiler is told C11.

#ifndef TIMING_H
#define TIMING_H

#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
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

// Print the losses of so many steps from the start, and then, from steps repeated for so many
// seconds, how long one takes: the median of batches. They are short, so that few of them
// have to wait for another process, and begin from the start again after EPOCH steps.
enum { EPOCH = 100, BATCH = 20, BATCHES = 20000 };

static inline void print_steps(int steps, double duration, void (*start)(void), double (*step)(void)) {
    static double seconds[BATCHES];
    size_t n = 0;
    start();
    while (steps-- > 0) printf("%.17g\n", step());
    for (double begin = now(), end = begin + duration; begin < end && n < BATCHES; n++) {
        if (n % (EPOCH / BATCH) == 0) start();
        begin = now();
        for (int i = 0; i < BATCH; i++) step();
        seconds[n] = (now() - begin) / BATCH;
    }
    printf("%.17g\n", median(seconds, n));
}

#endif

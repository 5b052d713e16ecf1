// The generator and the data sets in hexadecimal: every machine has to print the same, and
// `make -C csrc cross` looks whether they do.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "micrograd.h"

enum { N = 1000 };

static void print_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    printf("%016" PRIx64 "\n", bits);
}

static void print_points(const RNG *rng, const Point *points) {
    for (int i = 0; i < N; i++) {
        print_bits(points[i].x[0]);
        print_bits(points[i].x[1]);
        printf("%d\n", (int)points[i].label);
    }
    printf("%016" PRIx64 "\n", rng->state);
}

int main(void) {
    static Point points[N];
    RNG rng;
    rng_init(&rng, 42);
    for (int i = 0; i < N; i++) printf("%08" PRIx32 "\n", rng_random_u32(&rng));
    for (int i = 0; i < N; i++) print_bits(rng_random(&rng));
    for (int i = 0; i < N; i++) print_bits(rng_uniform(&rng, -1.0, 1.0) * 0.7);
    gen_data(&rng, points, N);
    print_points(&rng, points);
    gen_data_circles(&rng, points, N);
    print_points(&rng, points);
    gen_data_yinyang(&rng, points, N, 0.1, 0.5);
    print_points(&rng, points);
    return 0;
}

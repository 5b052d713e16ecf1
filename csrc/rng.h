// The generator (rng.c): xorshift64*, the same numbers on every machine.

#ifndef RNG_H
#define RNG_H

#include <stdint.h>

typedef struct RNG {
    uint64_t state;                           // never 0: the generator would stay there
} RNG;

void rng_init(RNG *rng, uint64_t seed);       // seed: 1 .. 2**64-1
uint32_t rng_random_u32(RNG *rng);            // 32 random bits
double rng_random(RNG *rng);                  // in [0, 1)
double rng_uniform(RNG *rng, double a, double b);  // in [a, b)

#endif

// The generator: xorshift64*, https://en.wikipedia.org/wiki/Xorshift#xorshift*

#include "rng.h"

void rng_init(RNG *rng, uint64_t seed) {
    rng->state = seed;
}

uint32_t rng_random_u32(RNG *rng) {
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return (uint32_t)((rng->state * 0x2545F4914F6CDD1DULL) >> 32);
}

double rng_random(RNG *rng) {
    // 24 bits, as many as a float32 holds, so that every port gets the same number
    return (rng_random_u32(rng) >> 8) / 16777216.0;
}

double rng_uniform(RNG *rng, double a, double b) {
    return a + (b - a) * rng_random(rng);
}

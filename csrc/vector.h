// One operation on many numbers (vector.c), and what loops over arrays need to be fast.

#ifndef MICROGRAD_VECTOR_H
#define MICROGRAD_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

// out[i] = x[i] ** k, n of them; 0 if one of them is no float
int powers(const double *x, double k, double *out, size_t n);

// The same for k = 2 and k = 0.5, at most 64 of them, without pow: out has the floats nearest to the
// exact results. Returns the set of those i, as bits, where pow may give another float.
uint64_t squares(const double *x, double *out, size_t n);
uint64_t roots(const double *x, double *out, size_t n);

// the lowest bit of a set that is not empty
static inline size_t lowest(uint64_t set) {
#ifdef __GNUC__
    return (size_t)__builtin_ctzll(set);
#else
    size_t i = 0;
    while (!(set >> i & 1)) i++;
    return i;
#endif
}

// out[i] = x[i] / y
void quotients(const double *x, double y, double *out, size_t n);

// A function that is compiled twice, once for AVX2. Which one is called is decided when the program
// is loaded (too early for sanitizers). Both compute each number by the same operations, so the bits
// are the same.
#if defined __x86_64__ && defined __GLIBC__ && defined __GNUC__ && !defined __clang__ && !defined __SANITIZE_ADDRESS__ \
    && !defined __SANITIZE_THREAD__
#define FOR_EACH_MACHINE __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_MACHINE
#endif

// a function that may use fma, which multiplies and adds with one rounding; only if has_fused()
#if defined __x86_64__ && defined __GNUC__ && !defined _WIN32  // Windows: gcc misaligns the stack
#define FUSED __attribute__((target("avx2,fma")))
static inline int has_fused(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#elif defined FP_FAST_FMA
#define FUSED
static inline int has_fused(void) {
    return 1;
}
#endif

// what such functions call: inlined, so that it is compiled for the same machine
#ifdef __GNUC__
#define INLINE __attribute__((always_inline)) static inline
#else
#define INLINE static inline
#endif

// four numbers side by side, at any address
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define HAS_FOUR
typedef double Four __attribute__((vector_size(32), aligned(8), may_alias));

#define FOUR_AT(p) (*(Four *)(p))
#define FOUR_OF(p) (*(const Four *)(p))
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)  // of a 0 .. 3, of b 4 .. 7
#endif
#endif

#endif

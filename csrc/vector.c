// One operation on many numbers: loops over arrays that C compilers turn into vector instructions.
// Where a fast result may differ from the library's, the library computes it again.

#include <string.h>

#include "ops.h"
#include "vector.h"

enum { BLOCK = 64 };  // the bits of a uint64_t, which is a set of indices

// -----------------------------------------------------------------------------
// powers

// Defines a function that computes n powers, at most BLOCK, without pow, and returns the set of those
// that are not sure to be what pow gives (ops.h).
#define POWERS_LOOP(is_sure, fused)                                                         \
    uint64_t unsure = 0;                                                                    \
    for (size_t i = 0; i < n; i++) unsure |= (uint64_t)!is_sure(x[i], &out[i], fused) << i; \
    return unsure

#ifdef FUSED
#define POWERS(linkage, name, is_sure)                                                             \
    FUSED static uint64_t fused_##name(const double *restrict x, double *restrict out, size_t n) { \
        POWERS_LOOP(is_sure, 1);                                                                   \
    }                                                                                              \
    static uint64_t plain_##name(const double *restrict x, double *restrict out, size_t n) {       \
        POWERS_LOOP(is_sure, 0);                                                                   \
    }                                                                                              \
    linkage uint64_t name(const double *x, double *out, size_t n) {                                \
        return has_fused() ? fused_##name(x, out, n) : plain_##name(x, out, n);                    \
    }
#else
#define POWERS(linkage, name, is_sure)                                                \
    linkage uint64_t name(const double *restrict x, double *restrict out, size_t n) { \
        POWERS_LOOP(is_sure, 0);                                                      \
    }
#endif

static inline int copy_is_sure(double x, double *out, int fused) {
    (void)fused;
    *out = x;
    return is_whole(x);
}

POWERS(, squares, square_is_sure)
POWERS(, roots, root_is_sure)
POWERS(static, copies, copy_is_sure)
POWERS(static, inverses, inverse_is_sure)
POWERS(static, inverse_squares, inverse_square_is_sure)
POWERS(static, inverse_roots, inverse_root_is_sure)
POWERS(static, inverse_cubes, inverse_cube_is_sure)

static uint64_t some_powers(const double *x, double k, double *out, size_t n) {
    if (k == 2) return squares(x, out, n);
    if (k == 1) return copies(x, out, n);
    if (k == 0.5) return roots(x, out, n);
    if (k == -1) return inverses(x, out, n);
    if (k == -2) return inverse_squares(x, out, n);
    if (k == -0.5) return inverse_roots(x, out, n);
    if (k == -1.5) return inverse_cubes(x, out, n);
    return UINT64_MAX >> (BLOCK - n);  // none is sure
}

int powers(const double *x, double k, double *out, size_t n) {
    int all = 1;
    for (size_t done = 0; done < n; done += BLOCK, x += BLOCK, out += BLOCK) {
        uint64_t unsure = some_powers(x, k, out, n - done < BLOCK ? n - done : BLOCK);
        for (; unsure; unsure &= unsure - 1) all &= number_pow(x[lowest(unsure)], k, &out[lowest(unsure)]);
    }
    return all;
}

// -----------------------------------------------------------------------------
// quotients

static void plain_quotients(const double *restrict x, double y, double *restrict out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = x[i] / y;
}

#ifdef FUSED
// A division takes as long as ten multiplications. x times 1/y is not exact, but fma computes the
// remainder x - q*y exactly; after correcting q twice by it, q is the float nearest to x/y (Markstein
// 1990). Returns 0 if an x other than 0 is so small or so large that a remainder may not be a float.
FUSED static int fused_quotients(const double *restrict x, double y, double *restrict out, size_t n) {
    const int64_t least = (int64_t)128 << 52, most = (int64_t)1920 << 52;  // 2**-895, 2**897
    double inverse = 1 / y;
    int64_t beyond = 0;
    for (size_t i = 0; i < n; i++) {
        double q = x[i] * inverse;
        q = fma(fma(-q, y, x[i]), inverse, q);
        q = fma(fma(-q, y, x[i]), inverse, q);
        int64_t bits = (int64_t)bits_of(x[i]), size = bits & INT64_MAX;
        beyond |= ((size - least) | (most - size)) & -(int64_t)(size != 0);  // negative for such an x
        out[i] = number_from_bits(bits_of(q) | ((uint64_t)bits & ~(uint64_t)INT64_MAX));  // -0.0 keeps its sign
    }
    return beyond >= 0;
}
#endif

void quotients(const double *x, double y, double *out, size_t n) {
    if (y == 1) {
        memcpy(out, x, n * sizeof *out);
        return;
    }
#ifdef FUSED
    if (has_fused() && y >= 0x1p-100 && y < 1 && fused_quotients(x, y, out, n)) return;
#endif
    plain_quotients(x, y, out, n);
}

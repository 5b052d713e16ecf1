// The arithmetic of every operation: its number forward, its gradients backward. Both ways
// of going over a graph, node by node (passes.c) and replayed (replay.c), take it from here; replay.c
// has loops of its own for sums, products, powers, tanh and relu, which compute the same.

#ifndef MICROGRAD_OPS_H
#define MICROGRAD_OPS_H

#include <float.h>
#include <math.h>
#include <string.h>
#include "micrograd.h"

#if defined FLT_EVAL_METHOD && (FLT_EVAL_METHOD == 2 || FLT_EVAL_METHOD == -1)
#error "doubles are computed in more than 64 bits; on 32-bit x86 add -msse2 -mfpmath=sse"
#endif

static inline uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double number_from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// -----------------------------------------------------------------------------
// What Python's floats refuse is refused here too: these return 0 where the result is no
// float, else 1.

static inline int number_pow(double x, double k, double *out) {
    *out = pow(x, k);
    if (isfinite(*out)) return 1;
    if (isnan(*out)) return isnan(x) || isnan(k);    // (-8)**0.5 is not real
    return isinf(x) || isinf(k);                     // 0**-1, 1e200**2
}

// For about 97 of 100 squares, square roots and reciprocals pow need not be called: it is sure to give
// x*x, sqrt(x) and 1/x, the floats nearest to the exact results. What pow computes before it rounds is
// off by a little, so it gives another float only where the exact result lies next to the middle
// between two floats. Floats can tell exactly how far x*x, sqrt(x) and 1/x are from the exact result
// (Dekker 1971).
//
// How little: glibc's e_pow.c (since 2.28; before, it was always the nearest float) has as its
// bounds 0.011 units in the last place from exp, and from log 1.5 * 2**-68 relative to the
// result's logarithm. For results from 2**-128 to 2**128 the sum is below 1/64 of a unit. On
// 32-bit x86, and in other libraries, pow is another function.
#if defined __GLIBC__ && !defined __i386__
#define POW_IS_KNOWN 1
#else
#define POW_IS_KNOWN 0
#endif

#define SURE_LEAST 0x1p-128
#define SURE_MOST 0x1p128
#define SURE_ERROR (0x1fp-6 * 0x1p-52)  // 1/2 - 1/64 units in the last place of a number from 1 to 2

// the first 26 of the 53 binary digits
static inline double number_high(double x) {
    return number_from_bits(bits_of(x) & ~(uint64_t)0x7ffffff);
}

// is it 0, or has it all its digits? Then x ** 1.0 is x
static inline int is_whole(double x) {
    uint64_t size = bits_of(x) << 1;  // without the sign
    return (size == 0) | (size - ((uint64_t)1 << 53) < (uint64_t)0x7fe << 53);
}

// the largest power of two in x
static inline double number_unit(double x) {
    return number_from_bits(bits_of(x) & (uint64_t)0x7ff << 52);
}

// Those below are floats. A machine that multiplies and adds without rounding in between (see
// vector.h) gets them in one step.

// 1 - x*y, where that is almost 0
static inline double rest_of_product(double x, double y, int fused) {
    if (fused) return fma(-x, y, 1.0);
    double x_high = number_high(x), x_low = x - x_high, y_high = number_high(y), y_low = y - y_high;
    return (((1 - x_high * y_high) - x_high * y_low) - x_low * y_high) - x_low * y_low;
}

// what x*y has beyond the float nearest to it
static inline double rest_beyond(double x, double y, double product, int fused) {
    if (fused) return fma(x, y, -product);
    double x_high = number_high(x), x_low = x - x_high, y_high = number_high(y), y_low = y - y_high;
    return (((x_high * y_high - product) + x_high * y_low) + x_low * y_high) + x_low * y_low;
}

// If x is the float nearest to an exact power, does pow give x or a float next to it?
static inline int is_near(double x) {
    return POW_IS_KNOWN & (fabs(x) > SURE_LEAST) & (fabs(x) < SURE_MOST);
}

// Is x + rest, in which the rest is less than the last digit of x, so far from the middle between
// two floats that pow gives x, too?
static inline int rounds_to(double x, double rest) {
    return is_near(x) & (fabs(rest) < number_unit(x) * SURE_ERROR);
}

// square = x*x; whether it is pow(x, 2.0), too
static inline int square_is_sure(double x, double *square, int fused) {
    *square = x * x;
    return (x == 0) | rounds_to(*square, rest_beyond(x, x, *square, fused));
}

// root = sqrt(x); whether it is pow(x, 0.5), too
static inline int root_is_sure(double x, double *root, int fused) {
    *root = sqrt(x + 0.0);  // of -0.0 it is 0.0
    double rest = rest_beyond(*root, *root, x, fused);  // 2 * root * (root - the exact root)
    return (x == 0) | (is_near(*root) & (fabs(rest) < 2 * *root * (number_unit(*root) * SURE_ERROR)));
}

// inverse = 1 / x; whether it is pow(x, -1.0), too
static inline int inverse_is_sure(double x, double *inverse, int fused) {
    *inverse = 1 / x;
    return rounds_to(*inverse, *inverse * rest_of_product(x, *inverse, fused));
}

// inverse = 1 / (x + more), where more is little; whether it is pow's, too
static inline int inverse_of_sum(double x, double more, double *inverse, int fused) {
    double first = 1 / x, correction = first * (rest_of_product(x, first, fused) - first * more);
    *inverse = first + correction;
    return rounds_to(*inverse, (first - *inverse) + correction);
}

// inverse = 1 / x**2; whether it is pow(x, -2.0), too
static inline int inverse_square_is_sure(double x, double *inverse, int fused) {
    double square = x * x;
    return inverse_of_sum(square, rest_beyond(x, x, square, fused), inverse, fused);
}

// inverse = 1 / x**0.5; whether it is pow(x, -0.5), too
static inline int inverse_root_is_sure(double x, double *inverse, int fused) {
    double root = sqrt(x), rest = -rest_beyond(root, root, x, fused) / (2 * root);
    return inverse_of_sum(root, rest, inverse, fused);
}

// inverse = 1 / x**1.5, which is x * x**0.5; whether it is pow(x, -1.5), too
static inline int inverse_cube_is_sure(double x, double *inverse, int fused) {
    double root = sqrt(x), cube = x * root, rest = -rest_beyond(root, root, x, fused) / (2 * root);
    return inverse_of_sum(cube, rest_beyond(x, root, cube, fused) + x * rest, inverse, fused);
}

// out = x ** 2
static inline int number_square(double x, double *out) {
    return square_is_sure(x, out, 0) || number_pow(x, 2.0, out);
}

// out = x ** k
static inline int number_power(double x, double k, double *out) {
    return (k == 2 && square_is_sure(x, out, 0)) || (k == 0.5 && root_is_sure(x, out, 0))
        || (k == -1 && inverse_is_sure(x, out, 0)) || (k == -2 && inverse_square_is_sure(x, out, 0))
        || (k == -0.5 && inverse_root_is_sure(x, out, 0)) || (k == -1.5 && inverse_cube_is_sure(x, out, 0))
        || number_pow(x, k, out);
}

static inline int number_div(double x, double y, double *out) {
    *out = x / y;
    return y != 0;
}

static inline int number_exp(double x, double *out) {
    *out = exp(x);
    return isfinite(*out) || !isfinite(x);
}

static inline double number_sigmoid(double x) {
    double e = exp(-x);
    if (isfinite(e) || !isfinite(x)) return 1 / (1 + e);
    e = exp(x);  // exp(-x) overflows: another form of the same
    return e / (1 + e);
}

// x, or 0: without a jump, which would go either way as the numbers do
static inline double number_if(int condition, double x) {
    return number_from_bits(bits_of(x) & (0 - (uint64_t)condition));
}

// how fast a**b = out moves with b: not real for a negative a
static inline double power_slope(double a, double out) {
    return a > 0 ? out * log(a) : a == 0 ? 0.0 : NAN;
}

// -----------------------------------------------------------------------------
// the operations, in the order of the enum. (Aligned by hand as tables, so clang-format is off.)
// clang-format off

// out = op(a, b); 0 where there is no such number
static inline int op_forward(Op op, double a, double b, double *out) {
    switch (op) {
    case OP_SHIFT: *out = -a; return 1;                       // -max_val
    case OP_LARGER: *out = b > a ? b : a; return 1;           // max(self.data, other.data)
    case OP_ADD: *out = a + b; return 1;                      // self.data + other.data
    case OP_MUL: *out = a * b; return 1;                      // self.data * other.data
    case OP_POW: return number_power(a, b, out);              // self.data**k
    case OP_POWER: return number_pow(a, b, out);              // self.data**other.data
    case OP_RELU: *out = number_if(!(a < 0), a); return 1;    // 0 if self.data < 0 else self.data
    case OP_TANH: *out = tanh(a); return 1;                   // math.tanh(self.data)
    case OP_EXP: return number_exp(a, out);                   // math.exp(self.data)
    case OP_LOG: *out = log(a); return !(a <= 0);             // math.log(self.data)
    case OP_SIGMOID: *out = number_sigmoid(a); return 1;      // 1 / (1 + math.exp(-self.data))
    case OP_SQRT: *out = sqrt(a); return !(a < 0);            // math.sqrt(self.data)
    case OP_SIN: *out = sin(a); return !isinf(a);             // math.sin(self.data)
    case OP_COS: *out = cos(a); return !isinf(a);             // math.cos(self.data)
    case OP_ABS: *out = fabs(a); return 1;                    // abs(self.data)
    case OP_TAKE: *out = a; return 1;                         // items[i].data
    case OP_LEAF: case OP_USER: case OP_LINEAR: case OP_LIST: case OP_MOMENTS: case OP_FREE:
        break;                                                // these keep their data
    }
    return 1;
}

// pass the gradient g of out = op(a, b) on to the operands' gradients; 0 where there is no slope
static inline int op_backward(Op op, double a, double b, double out, double g, double *da, double *db) {
    double x;
    switch (op) {
    case OP_ADD:  // self.grad += out.grad; other.grad += out.grad
        *da += g; *db += g; return 1;
    case OP_MUL:  // self.grad += other.data * out.grad; other.grad += self.data * out.grad
        *da += b * g; *db += a * g; return 1;
    case OP_POW:  // self.grad += (k * self.data**(k-1)) * out.grad
        if (b == 2 && is_whole(a)) x = a;
        else if (!number_power(a, b - 1, &x)) return 0;
        *da += (b * x) * g; return 1;
    case OP_POWER:  // the same, and other.grad += (out.data * log(self.data)) * out.grad
        if (!number_pow(a, b - 1, &x)) return 0;
        *da += (b * x) * g; *db += power_slope(a, out) * g; return 1;
    case OP_RELU:  // self.grad += (out.data > 0) * out.grad
        *da += number_if(out > 0, 1.0) * g; return 1;
    case OP_TANH:  // self.grad += (1 - out.data**2) * out.grad
        if (!number_square(out, &x)) return 0;
        *da += (1 - x) * g; return 1;
    case OP_EXP:  // self.grad += out.data * out.grad
        *da += out * g; return 1;
    case OP_LOG:  // self.grad += (1 / self.data) * out.grad
        if (!number_div(1, a, &x)) return 0;
        *da += x * g; return 1;
    case OP_SIGMOID:  // self.grad += (out.data * (1 - out.data)) * out.grad
        *da += (out * (1 - out)) * g; return 1;
    case OP_SQRT:  // self.grad += (1 / (2 * out.data)) * out.grad
        if (!number_div(1, 2 * out, &x)) return 0;
        *da += x * g; return 1;
    case OP_SIN:  // self.grad += math.cos(self.data) * out.grad
        if (isinf(a)) return 0;
        *da += cos(a) * g; return 1;
    case OP_COS:  // self.grad += -math.sin(self.data) * out.grad
        if (isinf(a)) return 0;
        *da += -sin(a) * g; return 1;
    case OP_ABS:  // self.grad += ((self.data > 0) - (self.data < 0)) * out.grad
        *da += ((a > 0) - (a < 0)) * g; return 1;
    case OP_TAKE:  // items[i].grad += out.grad
        *da += g; return 1;
    case OP_LEAF: case OP_SHIFT: case OP_LARGER: case OP_USER: case OP_LINEAR: case OP_LIST:
    case OP_MOMENTS: case OP_FREE:  // these have no rule
        break;
    }
    return 1;
}
// clang-format on

#endif

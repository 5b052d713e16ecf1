// Functions over lists of nodes: linear, exponentials, softmax.

#include "tape.h"

// return [dot(row, x) for row in w]
int linear(Tape *tape, const Index *x, const double *x_numbers, size_t nin, const Index *w, const double *w_numbers,
           size_t nout, Index *out) {
    for (size_t i = 0; i < nout; i++) {
        const double *numbers = w_numbers ? w_numbers + i * nin : NULL;
        out[i] = tape_dot(tape, 0, 0.0, w + i * nin, numbers, x, x_numbers, nin);
        if (!out[i]) {
            discard_all(tape, out, i);
            return -1;
        }
    }
    return 0;
}

// max_val = max(val.data for val in x)
// ex = [(xi - max_val).exp() for xi in x]
// denom = sum(ex)
//
// If it fails ex has no nodes. The course's max_val is a number; here it is a node, so that
// forward recomputes it.
int exponentials(Tape *tape, const Index *x, size_t n, Index *ex, Index *sum) {
    Index largest = tape_largest(tape, x, n);
    if (!largest) return -1;
    for (size_t i = 0; i < n; i++) {
        Index shifted = tape_binary(tape, OP_ADD, x[i], tape_unary(tape, OP_SHIFT, largest));
        ex[i] = tape_unary(tape, OP_EXP, shifted);
        if (!ex[i]) {
            discard_all(tape, ex, i);
            return -1;
        }
    }
    *sum = tape_sum(tape, 0, 0.0, ex, NULL, n);
    if (!*sum) discard_all(tape, ex, n);
    return *sum ? 0 : -1;
}

// return [e / denom for e in ex]
int softmax(Tape *tape, const Index *x, size_t n, Index *out) {
    Index denom;
    if (exponentials(tape, x, n, out, &denom)) return -1;
    for (size_t i = 0; i < n; i++) {
        out[i] = tape_div(tape, out[i], denom);
        if (!out[i]) {
            discard_all(tape, out, i);
            return -1;
        }
    }
    return 0;
}

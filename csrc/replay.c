// Runs the programs that compile.c has made of a graph.
//
// A pass over the nodes of a tape jumps from node to node. A replay has the numbers that a pass needs
// in arrays of its own, and one loop for each batch of equal operations. The sum of a neuron, in
// which each product and partial sum is a node, is one instruction, a dot. The nodes inside have no
// slot: each has one user, whose gradient is its own; and their data is computed again, by
// replay_settle, when somebody reads it.

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"
#include "vector.h"

// -----------------------------------------------------------------------------
// forward

// one row, one term after another
INLINE void one_row(const Dot *dot, Index length, double *data) {
    const double *w = data + dot->w, *x = data + dot->x;
    double act = data[dot->start];
    for (Index k = 0; k < length; k++) act = act + w[k] * x[k];
    data[dot->out] = act;
}

// four rows together: four independent sums, so that no addition waits for the one before it. Each is
//     act = start
//     for wi, xi in zip(w, x):
//         act = act + wi*xi
INLINE void four_rows(const Dot *dots, Index length, double *data) {
    const double *x = data + dots->x;
    const double *w0 = data + dots[0].w, *w1 = data + dots[1].w, *w2 = data + dots[2].w, *w3 = data + dots[3].w;
    double act[] = {data[dots[0].start], data[dots[1].start], data[dots[2].start], data[dots[3].start]};
    Index k = 0;
#ifdef HAS_FOUR
    Four sums = FOUR_OF(act);
    for (; k + 4 <= length; k += 4) {
        Four xk = FOUR_OF(x + k);
        Four p0 = FOUR_OF(w0 + k) * xk, p1 = FOUR_OF(w1 + k) * xk, p2 = FOUR_OF(w2 + k) * xk, p3 = FOUR_OF(w3 + k) * xk;
        // the products of one k side by side, and then of the next
        Four even01 = PICK(p0, p1, 0, 4, 2, 6), odd01 = PICK(p0, p1, 1, 5, 3, 7);
        Four even23 = PICK(p2, p3, 0, 4, 2, 6), odd23 = PICK(p2, p3, 1, 5, 3, 7);
        sums = sums + PICK(even01, even23, 0, 1, 4, 5);
        sums = sums + PICK(odd01, odd23, 0, 1, 4, 5);
        sums = sums + PICK(even01, even23, 2, 3, 6, 7);
        sums = sums + PICK(odd01, odd23, 2, 3, 6, 7);
    }
    FOUR_AT(act) = sums;
#endif
    for (; k < length; k++) {
        act[0] = act[0] + w0[k] * x[k];
        act[1] = act[1] + w1[k] * x[k];
        act[2] = act[2] + w2[k] * x[k];
        act[3] = act[3] + w3[k] * x[k];
    }
    for (int r = 0; r < 4; r++) data[dots[r].out] = act[r];
}

FOR_EACH_MACHINE static void rows_forward(const Dot *dots, Index n, Index length, double *data) {
    Index i = 0;
    for (; i + 4 <= n; i += 4, dots += 4) four_rows(dots, length, data);
    for (; i < n; i++, dots++) one_row(dots, length, data);
}

#ifdef HAS_FOUR
enum { COLUMNS = 128 };  // so many columns are transposed at a time

// turned[k]: the k-th weights of four rows
INLINE void turn(const double *const *w, Index length, Four *turned) {
    Index k = 0;
    for (; k + 4 <= length; k += 4) {
        Four a = FOUR_OF(w[0] + k), b = FOUR_OF(w[1] + k), c = FOUR_OF(w[2] + k), d = FOUR_OF(w[3] + k);
        Four even_ab = PICK(a, b, 0, 4, 2, 6), odd_ab = PICK(a, b, 1, 5, 3, 7);
        Four even_cd = PICK(c, d, 0, 4, 2, 6), odd_cd = PICK(c, d, 1, 5, 3, 7);
        turned[k] = PICK(even_ab, even_cd, 0, 1, 4, 5);
        turned[k + 1] = PICK(odd_ab, odd_cd, 0, 1, 4, 5);
        turned[k + 2] = PICK(even_ab, even_cd, 2, 3, 6, 7);
        turned[k + 3] = PICK(odd_ab, odd_cd, 2, 3, 6, 7);
    }
    for (; k < length; k++) turned[k] = (Four){w[0][k], w[1][k], w[2][k], w[3][k]};
}

// four rows times `width` vectors, from the column `from` on
INLINE void four_rows_times(const Four *turned, Index length, const Dot *const *dots, Index from, int is_run,
                            Index width, double *data) {
    Four acts[4] = {{0}};
    for (Index j = 0; j < width; j++) {
        if (is_run) acts[j] = FOUR_OF(data + (from ? dots[j]->out : dots[j]->start));
        else
            for (int r = 0; r < 4; r++) acts[j][r] = data[from ? dots[j][r].out : dots[j][r].start];
    }
    for (Index k = 0; k < length; k++) {
        for (Index j = 0; j < width; j++) acts[j] = acts[j] + turned[k] * data[dots[j]->x + from + k];
    }
    for (Index j = 0; j < width; j++) {
        if (is_run) FOUR_AT(data + dots[j]->out) = acts[j];
        else
            for (int r = 0; r < 4; r++) data[dots[j][r].out] = acts[j][r];
    }
}

// Four rows are transposed once, so that each column is one Four, and used for all vectors.
FOR_EACH_MACHINE static void grid_forward(const Dot *dots, Index n, Index times, Index length, int is_run,
                                          double *data) {
    Four turned[COLUMNS];
    Index i = 0;
    for (; i + 4 <= n; i += 4) {
        for (Index from = 0; from < length; from += COLUMNS) {
            Index some = length - from < COLUMNS ? length - from : COLUMNS;
            const double *w[4];
            for (Index r = 0; r < 4; r++) w[r] = data + dots[i + r].w + from;
            turn(w, some, turned);
            for (Index t = 0; t < times; t += 4) {
                const Dot *these[4];
                Index width = times - t < 4 ? times - t : 4;
                for (Index j = 0; j < width; j++) these[j] = dots + (t + j) * n + i;
                switch (width) {  // with a constant width the sums stay in registers
                case 4: four_rows_times(turned, some, these, from, is_run, 4, data); break;
                case 3: four_rows_times(turned, some, these, from, is_run, 3, data); break;
                case 2: four_rows_times(turned, some, these, from, is_run, 2, data); break;
                default: four_rows_times(turned, some, these, from, is_run, 1, data); break;
                }
            }
        }
    }
    for (; i < n; i++) {
        for (Index t = 0; t < times; t++) one_row(&dots[t * n + i], length, data);
    }
}
#else
static void grid_forward(const Dot *dots, Index n, Index times, Index length, int is_run, double *data) {
    (void)is_run;
    rows_forward(dots, n * times, length, data);
}
#endif

FOR_EACH_MACHINE static void dense_forward(const Dot *dots, Index n, Index length, double *data) {
    enum { TOGETHER = 4 };
    Index i = 0;
    for (; i + TOGETHER <= n; i += TOGETHER, dots += TOGETHER) {
        const double *w[TOGETHER], *x[TOGETHER];
        double act[TOGETHER];
        for (int r = 0; r < TOGETHER; r++) {
            w[r] = data + dots[r].w;
            x[r] = data + dots[r].x;
            act[r] = data[dots[r].start];
        }
        for (Index k = 0; k < length; k++) {
            for (int r = 0; r < TOGETHER; r++) act[r] = act[r] + w[r][k] * x[r][k];
        }
        for (int r = 0; r < TOGETHER; r++) data[dots[r].out] = act[r];
    }
    for (; i < n; i++, dots++) one_row(dots, length, data);
}

static void dots_forward(const Dot *dots, Index n, const Term *all, double *data) {
    for (Index i = 0; i < n; i++, dots++) {
        const Term *terms = all + dots->terms;
        double act = data[dots->start];
        for (Index k = 0; k < dots->n; k++) act = act + data[terms[k].w] * data[terms[k].x];
        data[dots->out] = act;
    }
}

enum { TOGETHER = 64 };  // so many powers are computed by one call

FOR_EACH_MACHINE static int are_same(const double *x, Index n) {
    uint64_t others = 0;
    for (Index i = 0; i < n; i++) others |= bits_of(x[i]) ^ bits_of(x[0]);
    return !others;
}

// out[i] = a[i] ** (b[i] + add), n of them; 0 if one is no float
static int some_powers(const double *a, const double *b, double add, double *out, Index n) {
    if (are_same(b, n)) return powers(a, b[0] + add, out, n);
    int all = 1;
    for (Index i = 0; i < n; i++) all &= powers(a + i, b[i] + add, out + i, 1);
    return all;
}

static void gather(const Instruction *at, Index n, const double *data, double *a, double *b) {
    for (Index i = 0; i < n; i++) {
        a[i] = data[at[i].a];
        b[i] = data[at[i].b];
    }
}

static int powers_forward(const Instruction *at, Index n, int is_run, double *data) {
    double a[TOGETHER], b[TOGETHER], out[TOGETHER];
    if (is_run) return some_powers(data + at->a, data + at->b, 0.0, data + at->out, n);
    for (Index some; n > 0; n -= some, at += some) {
        some = n < TOGETHER ? n : TOGETHER;
        gather(at, some, data, a, b);
        if (!some_powers(a, b, 0.0, out, some)) return 0;
        for (Index i = 0; i < some; i++) data[at[i].out] = out[i];
    }
    return 1;
}

FOR_EACH_MACHINE static void relus_forward(const double *restrict a, Index n, double *restrict out) {
    for (Index i = 0; i < n; i++) out[i] = number_if(!(a[i] < 0), a[i]);
}

// one operation, n times; 0 if a result is no float
static int batch_forward(Op op, const Instruction *at, Index n, int is_run, double *data) {
    const Instruction *end = at + n;
    switch (op) {
    case OP_TAKE:
        for (; at < end; at++) data[at->out] = data[at->a];
        return 1;
    case OP_ADD:
        for (; at < end; at++) data[at->out] = data[at->a] + data[at->b];
        return 1;
    case OP_MUL:
        for (; at < end; at++) data[at->out] = data[at->a] * data[at->b];
        return 1;
    case OP_POW: return powers_forward(at, n, is_run, data);
    case OP_RELU:
        if (!is_run) break;
        relus_forward(data + at->a, n, data + at->out);
        return 1;
    default: break;
    }
    for (; at < end; at++) {
        if (!op_forward(op, data[at->a], data[at->b], &data[at->out])) return 0;
    }
    return 1;
}

static int run_forward(const Replay *replay, double *data) {
    const Program *program = &replay->forward;
    for (Index i = 0; i < program->nbatches; i++) {
        const Batch *batch = &program->batches[i];
        const Dot *dots = program->dots + batch->first;
        switch (batch->op) {
        case ROWS: rows_forward(dots, batch->n, batch->length, data); break;
        case GRID: grid_forward(dots, batch->n, batch->times, batch->length, batch->is_run, data); break;
        case DENSE: dense_forward(dots, batch->n, batch->length, data); break;
        case DOTS: dots_forward(dots, batch->n, replay->terms, data); break;
        default:
            if (!batch_forward((Op)batch->op, program->instructions + batch->first, batch->n, batch->is_run, data))
                return 0;
        }
    }
    return 1;
}

// Read the private leaves' numbers from their nodes. Only replay_settle writes them back.
static void gather_privates(const Tape *tape, Replay *replay) {
    for (Index slot = replay->leaves + 1; slot <= replay->privates; slot++) {
        Index node = replay->nodes[slot];
        replay->data[slot] = replay->spare[slot] = tape->data[node];
        replay->grad[slot] = tape->grad[node];
    }
}

int replay_forward(Tape *tape, Replay *replay) {
    double *data = replay->spare;
    if (replay->holds == HOLDS_NOTHING) gather_privates(tape, replay);
    for (Index i = 0; i < replay->nspans; i++) {
        const Span *span = &replay->spans[i];
        memcpy(data + span->slot, tape->data + span->node, span->n * sizeof *data);
    }
    if (!run_forward(replay, data)) return -1;
    replay->spare = replay->data;  // nothing has failed
    replay->data = data;
    if (replay->holds == HOLDS_NOTHING) {
        replay->next_held = tape->held;
        tape->held = replay;
    }
    replay->holds = HOLDS_DATA;
    for (Index i = 0; i < replay->noutputs; i++) {
        Index output = replay->nodes[replay->outputs[i]];
        tape->data[output] = data[replay->outputs[i]];
        tape->grad[output] = 0.0;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// backward

static int is_same(double x, double y) {
    return bits_of(x) == bits_of(y);
}

static int are_outputs_ready(const Tape *tape, const Replay *replay) {
    int same = 1;
    for (Index i = 0; i < replay->noutputs; i++) {
        Index output = replay->nodes[replay->outputs[i]];
        same &= is_same(tape->data[output], replay->data[replay->outputs[i]]);
        same &= i == 0 || is_same(tape->grad[output], 0.0);  // backward sets that of the root
    }
    return same;
}

// Read the leaves' gradients; 0 if a leaf's data has been set since the forward pass.
static int gather_gradients(const Tape *tape, Replay *replay) {
    for (Index i = 0; i < replay->nspans; i++) {
        const Span *span = &replay->spans[i];
        size_t size = span->n * sizeof(double);
        if (memcmp(tape->data + span->node, replay->data + span->slot, size) != 0) return 0;
        memcpy(replay->grad + span->slot, tape->grad + span->node, size);
    }
    return 1;
}

// one row, of the gradient g:
//     start.grad += g
//     for wi, xi in zip(w, x):
//         wi.grad += xi.data * g; xi.grad += wi.data * g
INLINE void one_row_backward(const Dot *dot, Index length, const double *data, double *grad) {
    const double *w = data + dot->w, *x = data + dot->x;
    double *dw = grad + dot->w, *dx = grad + dot->x, g = grad[dot->out];
    Index k = 0;
#ifdef HAS_FOUR
    for (; k + 4 <= length; k += 4) {
        FOUR_AT(dw + k) += FOUR_OF(x + k) * g;
        FOUR_AT(dx + k) += FOUR_OF(w + k) * g;
    }
#endif
    for (; k < length; k++) {
        dw[k] += x[k] * g;
        dx[k] += w[k] * g;
    }
}

INLINE void row_backward(const Dot *dot, Index length, const double *data, double *grad) {
    grad[dot->start] += grad[dot->out];
    one_row_backward(dot, length, data, grad);
}

// the same for four rows that add to different weights
INLINE void four_rows_backward(const Dot *dots, Index length, const double *data, double *grad) {
    const double *x = data + dots->x;
    const double *w0 = data + dots[0].w, *w1 = data + dots[1].w, *w2 = data + dots[2].w, *w3 = data + dots[3].w;
    double *d0 = grad + dots[0].w, *d1 = grad + dots[1].w, *d2 = grad + dots[2].w, *d3 = grad + dots[3].w;
    double g0 = grad[dots[0].out], g1 = grad[dots[1].out], g2 = grad[dots[2].out], g3 = grad[dots[3].out];
    double *dx = grad + dots->x;
    Index k = 0;
    for (int r = 0; r < 4; r++) grad[dots[r].start] += grad[dots[r].out];
#ifdef HAS_FOUR
    for (; k + 4 <= length; k += 4) {
        Four xk = FOUR_OF(x + k), sum = FOUR_OF(dx + k);
        FOUR_AT(d0 + k) += xk * g0;
        FOUR_AT(d1 + k) += xk * g1;
        FOUR_AT(d2 + k) += xk * g2;
        FOUR_AT(d3 + k) += xk * g3;
        sum = sum + FOUR_OF(w0 + k) * g0;
        sum = sum + FOUR_OF(w1 + k) * g1;
        sum = sum + FOUR_OF(w2 + k) * g2;
        sum = sum + FOUR_OF(w3 + k) * g3;
        FOUR_AT(dx + k) = sum;
    }
#endif
    for (; k < length; k++) {
        d0[k] += x[k] * g0;
        d1[k] += x[k] * g1;
        d2[k] += x[k] * g2;
        d3[k] += x[k] * g3;
        dx[k] = (((dx[k] + w0[k] * g0) + w1[k] * g1) + w2[k] * g2) + w3[k] * g3;
    }
}

FOR_EACH_MACHINE static void rows_backward(const Dot *dots, Index n, Index length, const double *data, double *grad) {
    Index i = 0;
    for (; i + 4 <= n; i += 4, dots += 4) four_rows_backward(dots, length, data, grad);
    for (; i < n; i++, dots++) row_backward(dots, length, data, grad);
}

#ifdef HAS_FOUR
enum { VECTORS = 16 };  // so many are gone through together

// Four rows for many vectors, then the next four: each weight and each input still gets its additions
// in the same order as from one vector after another.
INLINE void four_rows_of_grid(const Dot *const *dots, Index times, Index length, const double *data, double *grad) {
    const double *w[4];
    double *dw[4], g[VECTORS][4];
    Index k = 0;
    for (int r = 0; r < 4; r++) {
        w[r] = data + dots[0][r].w;
        dw[r] = grad + dots[0][r].w;
        for (Index t = 0; t < times; t++) g[t][r] = grad[dots[t][r].out];
    }
    for (; k + 4 <= length; k += 4) {
        Four w0 = FOUR_OF(w[0] + k), w1 = FOUR_OF(w[1] + k), w2 = FOUR_OF(w[2] + k), w3 = FOUR_OF(w[3] + k);
        Four d0 = FOUR_OF(dw[0] + k), d1 = FOUR_OF(dw[1] + k), d2 = FOUR_OF(dw[2] + k), d3 = FOUR_OF(dw[3] + k);
        for (Index t = 0; t < times; t++) {
            Four x = FOUR_OF(data + dots[t]->x + k), dx = FOUR_OF(grad + dots[t]->x + k);
            d0 = d0 + x * g[t][0];
            d1 = d1 + x * g[t][1];
            d2 = d2 + x * g[t][2];
            d3 = d3 + x * g[t][3];
            dx = dx + w0 * g[t][0];
            dx = dx + w1 * g[t][1];
            dx = dx + w2 * g[t][2];
            dx = dx + w3 * g[t][3];
            FOUR_AT(grad + dots[t]->x + k) = dx;
        }
        FOUR_AT(dw[0] + k) = d0;
        FOUR_AT(dw[1] + k) = d1;
        FOUR_AT(dw[2] + k) = d2;
        FOUR_AT(dw[3] + k) = d3;
    }
    for (; k < length; k++) {
        double wk[] = {w[0][k], w[1][k], w[2][k], w[3][k]}, dwk[] = {dw[0][k], dw[1][k], dw[2][k], dw[3][k]};
        for (Index t = 0; t < times; t++) {
            double x = data[dots[t]->x + k], dx = grad[dots[t]->x + k];
            for (int r = 0; r < 4; r++) {
                dwk[r] = dwk[r] + x * g[t][r];
                dx = dx + wk[r] * g[t][r];
            }
            grad[dots[t]->x + k] = dx;
        }
        for (int r = 0; r < 4; r++) dw[r][k] = dwk[r];
    }
}

FOR_EACH_MACHINE static void grid_backward(const Dot *dots, Index n, Index times, Index length, const double *data,
                                           double *grad) {
    Index i = 0;
    for (Index k = 0; k < n * times; k++) grad[dots[k].start] += grad[dots[k].out];
    for (; i + 4 <= n; i += 4) {
        for (Index t = 0; t < times; t += VECTORS) {
            const Dot *these[VECTORS];
            Index some = times - t < VECTORS ? times - t : VECTORS;
            for (Index j = 0; j < some; j++) these[j] = dots + (t + j) * n + i;
            four_rows_of_grid(these, some, length, data, grad);
        }
    }
    for (; i < n; i++) {
        for (Index t = 0; t < times; t++) one_row_backward(&dots[t * n + i], length, data, grad);
    }
}
#else
static void grid_backward(const Dot *dots, Index n, Index times, Index length, const double *data, double *grad) {
    rows_backward(dots, n * times, length, data, grad);
}
#endif

FOR_EACH_MACHINE static void dense_backward(const Dot *dots, Index n, Index length, const double *data, double *grad) {
    for (Index i = 0; i < n; i++) row_backward(&dots[i], length, data, grad);
}

// the terms from the last to the first; the start just before the first, as in a pass over the nodes
static void dots_backward(const Dot *dots, Index n, const Term *all, const double *data, double *grad) {
    for (Index i = 0; i < n; i++, dots++) {
        const Term *terms = all + dots->terms;
        double g = grad[dots->out];
        for (Index k = dots->n; k > 0; k--) {
            if (k == 1) grad[dots->start] += g;
            Index w = terms[k - 1].w, x = terms[k - 1].x;
            grad[w] += data[x] * g;
            grad[x] += data[w] * g;
        }
    }
}

// a.grad += (b * a**(b-1)) * out.grad
FOR_EACH_MACHINE static void add_slopes(const double *restrict b, const double *restrict power,
                                        const double *restrict g, Index n, double *restrict a) {
    for (Index i = 0; i < n; i++) a[i] += (b[i] * power[i]) * g[i];
}

static int powers_backward(const Instruction *at, Index n, int is_run, const double *data, double *grad) {
    double a[TOGETHER], b[TOGETHER], power[TOGETHER];
    for (Index some; n > 0; n -= some, at += some) {
        some = n < TOGETHER ? n : TOGETHER;
        if (is_run) {
            if (!some_powers(data + at->a, data + at->b, -1.0, power, some)) return 0;
            add_slopes(data + at->b, power, grad + at->out, some, grad + at->a);
            continue;
        }
        gather(at, some, data, a, b);
        if (!some_powers(a, b, -1.0, power, some)) return 0;
        for (Index i = 0; i < some; i++) grad[at[i].a] += (b[i] * power[i]) * grad[at[i].out];
    }
    return 1;
}

// a.grad += (1 - out.data**2) * out.grad
static int tanhs_backward(const Instruction *at, Index n, const double *data, double *grad) {
    double out[TOGETHER], square[TOGETHER];
    for (Index some; n > 0; n -= some, at += some) {
        some = n < TOGETHER ? n : TOGETHER;
        for (Index i = 0; i < some; i++) out[i] = data[at[i].out];
        if (!powers(out, 2.0, square, some)) return 0;
        for (Index i = 0; i < some; i++) grad[at[i].a] += (1 - square[i]) * grad[at[i].out];
    }
    return 1;
}

// a.grad += (out.data > 0) * out.grad
FOR_EACH_MACHINE static void relus_backward(const double *restrict out, const double *restrict g, Index n,
                                            double *restrict a) {
    for (Index i = 0; i < n; i++) a[i] += number_if(out[i] > 0, 1.0) * g[i];
}

static int batch_backward(Op op, const Instruction *at, Index n, int is_run, const double *data, double *grad) {
    const Instruction *end = at + n;
    switch (op) {
    case OP_TAKE:
        for (; at < end; at++) grad[at->a] += grad[at->out];
        return 1;
    case OP_ADD:
        for (; at < end; at++) {
            double g = grad[at->out];
            grad[at->a] += g;
            grad[at->b] += g;
        }
        return 1;
    case OP_MUL:
        for (; at < end; at++) {
            double g = grad[at->out];
            grad[at->a] += data[at->b] * g;
            grad[at->b] += data[at->a] * g;
        }
        return 1;
    case OP_POW: return powers_backward(at, n, is_run, data, grad);
    case OP_TANH: return tanhs_backward(at, n, data, grad);
    case OP_RELU:
        if (!is_run) break;
        relus_backward(data + at->out, grad + at->out, n, grad + at->a);
        return 1;
    default: break;
    }
    for (; at < end; at++) {
        double g = grad[at->out];
        if (!op_backward(op, data[at->a], data[at->b], data[at->out], g, &grad[at->a], &grad[at->b])) return 0;
    }
    return 1;
}

static int run_backward(const Replay *replay) {
    const Program *program = &replay->backward;
    const double *data = replay->data;
    double *grad = replay->grad;
    for (Index i = 0; i < program->nbatches; i++) {
        const Batch *batch = &program->batches[i];
        const Dot *dots = program->dots + batch->first;
        switch (batch->op) {
        case ROWS: rows_backward(dots, batch->n, batch->length, data, grad); break;
        case GRID: grid_backward(dots, batch->n, batch->times, batch->length, data, grad); break;
        case DENSE: dense_backward(dots, batch->n, batch->length, data, grad); break;
        case DOTS: dots_backward(dots, batch->n, replay->terms, data, grad); break;
        default:
            if (!batch_backward((Op)batch->op, program->instructions + batch->first, batch->n, batch->is_run, data,
                                grad))
                return 0;
        }
    }
    return 1;
}

int replay_backward(Tape *tape, Replay *replay) {
    double *grad = replay->grad;
    Index leaves = replay->leaves, privates = replay->privates;
    if (replay->holds != HOLDS_DATA || !are_outputs_ready(tape, replay) || !gather_gradients(tape, replay)) return -1;
    memcpy(replay->before, grad + leaves + 1, (privates - leaves) * sizeof *grad);
    memset(grad + privates + 1, 0, (replay->slots - privates) * sizeof *grad);
    grad[replay->outputs[0]] = 1.0;
    if (!run_backward(replay)) {
        memcpy(grad + leaves + 1, replay->before, (privates - leaves) * sizeof *grad);
        return -1;
    }
    replay->holds = HOLDS_GRADIENTS;
    for (Index i = 0; i < replay->nspans; i++) {
        const Span *span = &replay->spans[i];
        memcpy(tape->grad + span->node, grad + span->slot, span->n * sizeof *grad);
    }
    for (Index i = 0; i < replay->noutputs; i++) {
        tape->grad[replay->nodes[replay->outputs[i]]] = grad[replay->outputs[i]];
    }
    return 0;
}

// -----------------------------------------------------------------------------
// choices, and the nodes

void replay_choose(Replay *replay, size_t choice, Index item) {
    const Switch *chooser = &replay->switches[choice];
    for (Index j = 0; j < chooser->width; j++) {
        Index slot = chooser->items[item * chooser->width + j];
        replay->forward.instructions[chooser->forward[j]].a = slot;
        replay->backward.instructions[chooser->backward[j]].a = slot;
    }
    Dot *rows = replay->backward.dots + chooser->first;
    for (Index k = chooser->nrows; k > 0; k--) {  // see Switch
        if (k - 1 != item) *rows++ = chooser->rows[k - 1];
    }
    if (chooser->nrows) *rows = chooser->rows[item];
}

static void settle_dots(Tape *tape, const Replay *replay, int has_gradients) {
    const double *data = replay->data;
    for (Index i = 0; i < replay->forward.ndots; i++) {
        const Dot *dot = &replay->forward.dots[i];
        double act = data[dot->start], g = has_gradients ? replay->grad[dot->out] : 0.0;
        for (Index k = 0; k < dot->n; k++) {
            const Term *term = &replay->terms[dot->terms + k];
            double product = data[term->w] * data[term->x];
            act = act + product;
            if (term->product) {
                tape->data[term->product] = product;
                tape->grad[term->product] = g;
            }
            tape->data[term->sum] = act;
            tape->grad[term->sum] = g;
        }
    }
}

void replay_settle(Tape *tape, Replay *replay) {
    const double *data = replay->data, *grad = replay->grad;
    double *outputs = replay->spare + replay->slots + 1;
    int has_gradients = replay->holds == HOLDS_GRADIENTS;
    replay->holds = HOLDS_NOTHING;
    for (Index i = 0; i < replay->noutputs; i++) {  // the nodes are right: they may have been set
        Index output = replay->nodes[replay->outputs[i]];
        outputs[2 * i] = tape->data[output];
        outputs[2 * i + 1] = tape->grad[output];
    }
    for (Index slot = replay->leaves + 1; slot <= replay->privates; slot++) {
        tape->grad[replay->nodes[slot]] = grad[slot];
    }
    for (Index slot = replay->privates + 1; slot <= replay->slots; slot++) {
        tape->data[replay->nodes[slot]] = data[slot];
        tape->grad[replay->nodes[slot]] = has_gradients ? grad[slot] : 0.0;
    }
    settle_dots(tape, replay, has_gradients);
    for (Index i = 0; i < replay->noutputs; i++) {
        Index output = replay->nodes[replay->outputs[i]];
        tape->data[output] = outputs[2 * i];
        tape->grad[output] = outputs[2 * i + 1];
    }
}

int replay_has(const Replay *replay, Index i) {
    for (Index slot = 1; slot <= replay->slots; slot++) {
        if (replay->nodes[slot] == i) return 1;
    }
    for (Index k = 0; k < replay->nterms; k++) {
        if (replay->terms[k].product == i || replay->terms[k].sum == i) return 1;
    }
    return 0;
}

int replay_is_alive(const Tape *tape, const Replay *replay) {
    const Node *nodes = tape->nodes;
    int alive = 0;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++)
        alive |= nodes[replay->nodes[slot]].op != OP_FREE;
    for (Index k = 0; k < replay->nterms && !alive; k++) {
        Index product = replay->terms[k].product;
        alive |= nodes[replay->terms[k].sum].op != OP_FREE || (product && nodes[product].op != OP_FREE);
    }
    return alive;
}

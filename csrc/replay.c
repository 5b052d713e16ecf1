// The replay: the passes over a recording that compile.c has made a program of.
//
// A pass over the nodes of a tape jumps from node to node. Here the numbers that a pass
// needs stand in arrays of their own, and what the same operation does to many of them is one
// loop. A neuron's sum, whose every product and partial sum is a node, is one instruction, a
// dot. The products and sums inside have no place in the arrays: each has one user, so that its
// gradient is its user's, and its data can be computed again from what does have a place.
// That is done when somebody asks: see replay_settle.

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"

// A function that is compiled for wider vector units, too, where the linker can choose among
// them. Each sum keeps its order, so the bits are the same.
#if defined __x86_64__ && defined __GLIBC__ && defined __GNUC__ && !defined __clang__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define VECTOR __attribute__((target_clones("avx2", "default")))
#else
#define VECTOR
#endif

// and what it calls, compiled as it is
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

// -----------------------------------------------------------------------------
// forward

// of four rows together, so that no addition has to wait for the one before:
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

VECTOR static void rows_forward(const Dot *dots, Index n, Index length, double *data) {
    Index i = 0;
    for (; i + 4 <= n; i += 4, dots += 4) four_rows(dots, length, data);
    for (; i < n; i++, dots++) {
        const double *w = data + dots->w, *x = data + dots->x;
        double act = data[dots->start];
        for (Index k = 0; k < length; k++) act = act + w[k] * x[k];
        data[dots->out] = act;
    }
}

VECTOR static void dense_forward(const Dot *dots, Index n, Index length, double *data) {
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
    for (; i < n; i++, dots++) {
        const double *w = data + dots->w, *x = data + dots->x;
        double act = data[dots->start];
        for (Index k = 0; k < length; k++) act = act + w[k] * x[k];
        data[dots->out] = act;
    }
}

static void dots_forward(const Dot *dots, Index n, const Term *all, double *data) {
    for (Index i = 0; i < n; i++, dots++) {
        const Term *terms = all + dots->terms;
        double act = data[dots->start];
        for (Index k = 0; k < dots->n; k++) act = act + data[terms[k].w] * data[terms[k].x];
        data[dots->out] = act;
    }
}

// one operation, again and again: 0 if a result is no float
static int batch_forward(Op op, const Instruction *at, Index n, double *data) {
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
    default:
        for (; at < end; at++) {
            if (!op_forward(op, data[at->a], data[at->b], &data[at->out])) return 0;
        }
        return 1;
    }
}

static int run_forward(const Replay *replay, double *data) {
    const Program *program = &replay->forward;
    for (Index i = 0; i < program->nbatches; i++) {
        const Batch *batch = &program->batches[i];
        const Dot *dots = program->dots + batch->first;
        switch (batch->op) {
        case ROWS: rows_forward(dots, batch->n, batch->length, data); break;
        case DENSE: dense_forward(dots, batch->n, batch->length, data); break;
        case DOTS: dots_forward(dots, batch->n, replay->terms, data); break;
        default:
            if (!batch_forward((Op)batch->op, program->instructions + batch->first, batch->n, data)) return 0;
        }
    }
    return 1;
}

// the private leaves' numbers, which nothing but replay_settle takes from here
static void gather_privates(const Tape *tape, Replay *replay) {
    for (Index slot = replay->leaves + 1; slot <= replay->privates; slot++) {
        const Node *node = &tape->nodes[replay->nodes[slot]];
        replay->data[slot] = replay->spare[slot] = node->data;
        replay->grad[slot] = node->grad;
    }
}

int replay_forward(Tape *tape, Replay *replay) {
    double *data = replay->spare;
    if (replay->holds == HOLDS_NOTHING) gather_privates(tape, replay);
    for (Index i = 0; i < replay->nspans; i++) {
        const Span *span = &replay->spans[i];
        const Node *nodes = tape->nodes + span->node;
        double *out = data + span->slot;
        for (Index k = 0; k < span->n; k++) out[k] = nodes[k].data;
    }
    if (!run_forward(replay, data)) return -1;
    replay->spare = replay->data;  // nothing failed: now these are the numbers
    replay->data = data;
    if (replay->holds == HOLDS_NOTHING) {
        replay->next_held = tape->held;
        tape->held = replay;
    }
    replay->holds = HOLDS_DATA;
    for (Index i = 0; i < replay->noutputs; i++) {
        Node *output = &tape->nodes[replay->nodes[replay->outputs[i]]];
        output->data = data[replay->outputs[i]];
        output->grad = 0.0;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// backward

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static int is_same(double x, double y) {
    return bits_of(x) == bits_of(y);
}

static int are_outputs_ready(const Tape *tape, const Replay *replay) {
    int same = 1;
    for (Index i = 0; i < replay->noutputs; i++) {
        const Node *output = &tape->nodes[replay->nodes[replay->outputs[i]]];
        same &= is_same(output->data, replay->data[replay->outputs[i]]);
        same &= i == 0 || is_same(output->grad, 0.0);  // backward sets the root's
    }
    return same;
}

// the leaves' gradients; 0 if a number has been set since the forward pass
static int gather_gradients(const Tape *tape, Replay *replay) {
    uint64_t others = 0;
    for (Index i = 0; i < replay->nspans; i++) {
        const Span *span = &replay->spans[i];
        const Node *nodes = tape->nodes + span->node;
        const double *data = replay->data + span->slot;
        double *grad = replay->grad + span->slot;
        for (Index k = 0; k < span->n; k++) {
            others |= bits_of(nodes[k].data) ^ bits_of(data[k]);
            grad[k] = nodes[k].grad;
        }
    }
    return others == 0;
}

// for each row, from its gradient g:
//     start.grad += g
//     for wi, xi in zip(w, x):
//         wi.grad += xi.data * g; xi.grad += wi.data * g
INLINE void row_backward(const Dot *dot, Index length, const double *data, double *grad) {
    const double *w = data + dot->w, *x = data + dot->x;
    double *dw = grad + dot->w, *dx = grad + dot->x, g = grad[dot->out];
    Index k = 0;
    grad[dot->start] += g;
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

VECTOR static void rows_backward(const Dot *dots, Index n, Index length, const double *data, double *grad) {
    Index i = 0;
    for (; i + 4 <= n; i += 4, dots += 4) four_rows_backward(dots, length, data, grad);
    for (; i < n; i++, dots++) row_backward(dots, length, data, grad);
}

VECTOR static void dense_backward(const Dot *dots, Index n, Index length, const double *data, double *grad) {
    for (Index i = 0; i < n; i++) row_backward(&dots[i], length, data, grad);
}

// the terms from the last to the first; the start's turn is before the first
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

static int batch_backward(Op op, const Instruction *at, Index n, const double *data, double *grad) {
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
    default:
        for (; at < end; at++) {
            if (!op_backward(op, data[at->a], data[at->b], data[at->out], grad[at->out],
                             &grad[at->a], &grad[at->b])) return 0;
        }
        return 1;
    }
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
        case DENSE: dense_backward(dots, batch->n, batch->length, data, grad); break;
        case DOTS: dots_backward(dots, batch->n, replay->terms, data, grad); break;
        default:
            if (!batch_backward((Op)batch->op, program->instructions + batch->first, batch->n, data, grad)) return 0;
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
        Node *nodes = tape->nodes + span->node;
        for (Index k = 0; k < span->n; k++) nodes[k].grad = grad[span->slot + k];
    }
    for (Index i = 0; i < replay->noutputs; i++) {
        tape->nodes[replay->nodes[replay->outputs[i]]].grad = grad[replay->outputs[i]];
    }
    return 0;
}

// -----------------------------------------------------------------------------
// choosing and settling

void replay_choose(Replay *replay, size_t choice, Index item) {
    const Switch *chooser = &replay->switches[choice];
    for (Index j = 0; j < chooser->width; j++) {
        Index slot = chooser->items[item * chooser->width + j];
        replay->forward.instructions[chooser->forward[j]].a = slot;
        replay->backward.instructions[chooser->backward[j]].a = slot;
    }
    Dot *rows = replay->backward.dots + chooser->first;
    for (Index k = chooser->nrows; k > 0; k--) {  // from the last to the first, without the chosen one
        if (k - 1 != item) *rows++ = chooser->rows[k - 1];
    }
    if (chooser->nrows) *rows = chooser->rows[item];
}

static void settle_dots(Tape *tape, const Replay *replay, int has_gradients) {
    Node *nodes = tape->nodes;
    const double *data = replay->data;
    for (Index i = 0; i < replay->forward.ndots; i++) {
        const Dot *dot = &replay->forward.dots[i];
        double act = data[dot->start], g = has_gradients ? replay->grad[dot->out] : 0.0;
        for (Index k = 0; k < dot->n; k++) {
            const Term *term = &replay->terms[dot->terms + k];
            double product = data[term->w] * data[term->x];
            act = act + product;
            if (term->product) {
                nodes[term->product].data = product;
                nodes[term->product].grad = g;
            }
            nodes[term->sum].data = act;
            nodes[term->sum].grad = g;
        }
    }
}

void replay_settle(Tape *tape, Replay *replay) {
    Node *nodes = tape->nodes;
    const double *data = replay->data, *grad = replay->grad;
    double *outputs = replay->spare + replay->slots + 1;
    int has_gradients = replay->holds == HOLDS_GRADIENTS;
    replay->holds = HOLDS_NOTHING;
    for (Index i = 0; i < replay->noutputs; i++) {  // they may have been set since
        const Node *output = &nodes[replay->nodes[replay->outputs[i]]];
        outputs[2 * i] = output->data;
        outputs[2 * i + 1] = output->grad;
    }
    for (Index slot = replay->leaves + 1; slot <= replay->privates; slot++) {
        nodes[replay->nodes[slot]].grad = grad[slot];
    }
    for (Index slot = replay->privates + 1; slot <= replay->slots; slot++) {
        Node *node = &nodes[replay->nodes[slot]];
        node->data = data[slot];
        node->grad = has_gradients ? grad[slot] : 0.0;
    }
    settle_dots(tape, replay, has_gradients);
    for (Index i = 0; i < replay->noutputs; i++) {
        Node *output = &nodes[replay->nodes[replay->outputs[i]]];
        output->data = outputs[2 * i];
        output->grad = outputs[2 * i + 1];
    }
}

// The optimisers, over leaves of the tape. Each rule carries its Python lines.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"

// tape_node, without a call for parameters: they are leaves as a rule, whose numbers are in place
static inline Node *node_at(Tape *tape, Index i) {
    return tape->nodes[i].flags & NODE_REPLAYED ? tape_node(tape, i) : &tape->nodes[i];
}

// p.grad = 0
void zero_grad(Tape *tape, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) node_at(tape, parameters[i])->grad = 0.0;
}

// p.data -= lr * p.grad
void sgd_step(Tape *tape, double lr, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        Node *p = node_at(tape, parameters[i]);
        p->data -= lr * p->grad;
    }
}

// -----------------------------------------------------------------------------
// Adam and AdamW: the moments

// moments for those that have none
static int moments_make(Tape *tape, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (tape->nodes[parameters[i]].a) continue;
        Index fresh = tape_leaf(tape, 0.0);
        if (!fresh) return -1;
        tape->nodes[fresh].op = OP_MOMENTS;
        tape->nodes[parameters[i]].a = fresh;
        tape->nodes[fresh].refs = 1;
        tape->nodes[0].refs--;  // one operand less that is not there
    }
    return 0;
}

// p.m = p.v = 0
int adam_init(Tape *tape, const Index *parameters, size_t n) {
    if (moments_make(tape, parameters, n)) return -1;
    for (size_t i = 0; i < n; i++) {
        Node *moments = tape_moments(tape, parameters[i]);
        moments->data = 0.0;
        moments->grad = 0.0;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// one parameter

typedef enum Kind { ADAM, ADAMW } Kind;

// the numbers that all parameters of a step have in common
typedef struct Step {
    Kind kind;
    double lr, beta1, beta2, eps, weight_decay;
    double bias1, bias2;  // 1 - beta**t
} Step;

// out = x / y, or a fault
static int divide(Fault *fault, double x, double y, double *out) {
    if (number_div(x, y, out)) return 0;
    *fault = (Fault){.code = FAULT_DIVISION, .operands = 2, .a = x, .b = y};
    return -1;
}

// out = x ** k, or a fault
static int power(Fault *fault, double x, double k, double *out) {
    if (number_pow(x, k, out)) return 0;
    *fault = (Fault){.code = FAULT_FORWARD, .op = OP_POW, .operands = 2, .a = x, .b = k};
    return -1;
}

// p.m = beta1 * p.m + (1 - beta1) * p.grad
// p.v = beta2 * p.v + (1 - beta2) * p.grad**2
// m_hat = p.m / (1 - beta1**t)
// v_hat = p.v / (1 - beta2**t)
// p.data -= lr * m_hat / (v_hat**0.5 + eps)                              Adam
// p.data -= lr * (m_hat / (v_hat**0.5 + eps) + weight_decay * p.data)    AdamW
static int update(const Step *step, double grad, double *data, double *m, double *v, Fault *fault) {
    double square, m_hat, v_hat, root, ratio;
    *m = step->beta1 * *m + (1 - step->beta1) * grad;
    if (power(fault, grad, 2.0, &square)) return -1;
    *v = step->beta2 * *v + (1 - step->beta2) * square;
    if (divide(fault, *m, step->bias1, &m_hat)) return -1;
    if (divide(fault, *v, step->bias2, &v_hat)) return -1;
    if (power(fault, v_hat, 0.5, &root)) return -1;
    if (step->kind == ADAM) m_hat = step->lr * m_hat;
    if (divide(fault, m_hat, root + step->eps, &ratio)) return -1;
    *data -= step->kind == ADAM ? ratio : step->lr * (ratio + step->weight_decay * *data);
    return 0;
}

// -----------------------------------------------------------------------------
// a block of them: loops over arrays, which the compiler makes of instructions that compute
// several numbers at once

enum { BLOCK = 64 };  // as many as a uint64_t has bits

typedef struct Block {
    double data[BLOCK], grad[BLOCK], m[BLOCK], v[BLOCK];
} Block;

// such instructions as the machine has; which, is found out when the program starts, before the
// thread sanitizer is ready
#if defined __x86_64__ && defined __GLIBC__ && defined __has_attribute && !defined __SANITIZE_THREAD__
#if __has_attribute(target_clones)
#define FOR_EACH_MACHINE __attribute__((target_clones("avx2", "default")))
#endif
#endif
#ifndef FOR_EACH_MACHINE
#define FOR_EACH_MACHINE
#endif

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

// new = old after the step, for the first n; or 0 if there may be a fault. Powers are computed
// as if all were sure, and those in the set `unsure` once more.
FOR_EACH_MACHINE
static int block_update(const Step *step, const Block *restrict old, size_t n, Block *restrict new) {
    double lr = step->lr, beta1 = step->beta1, beta2 = step->beta2, eps = step->eps;
    double bias1 = step->bias1, bias2 = step->bias2, weight_decay = step->weight_decay;
    double square[BLOCK], m_hat[BLOCK], v_hat[BLOCK], root[BLOCK];
    uint64_t all = UINT64_MAX >> (BLOCK - n), unsure = 0;
    if (bias1 == 0 || bias2 == 0 || !(eps > 0)) return 0;  // else all divisors are positive, or nan
    for (size_t i = 0; i < BLOCK; i++) {
        unsure |= (uint64_t)!square_is_sure(old->grad[i], &square[i]) << i;
        new->m[i] = beta1 * old->m[i] + (1 - beta1) * old->grad[i];
    }
    for (size_t i = 0; i < BLOCK; i++) m_hat[i] = bias1 == 1 ? new->m[i] : new->m[i] / bias1;  // x / 1 is x
    for (unsure &= all; unsure; unsure &= unsure - 1) {
        size_t i = lowest(unsure);
        if (!number_pow(old->grad[i], 2.0, &square[i])) return 0;
    }
    for (size_t i = 0; i < BLOCK; i++) {
        new->v[i] = beta2 * old->v[i] + (1 - beta2) * square[i];
    }
    for (size_t i = 0; i < BLOCK; i++) v_hat[i] = bias2 == 1 ? new->v[i] : new->v[i] / bias2;
    for (size_t i = 0; i < BLOCK; i++) {
        unsure |= (uint64_t)!root_is_sure(v_hat[i], &root[i]) << i;
    }
    for (unsure &= all; unsure; unsure &= unsure - 1) {
        size_t i = lowest(unsure);
        if (!number_pow(v_hat[i], 0.5, &root[i])) return 0;
    }
    if (step->kind == ADAM) {
        for (size_t i = 0; i < BLOCK; i++) new->data[i] = old->data[i] - lr * m_hat[i] / (root[i] + eps);
    } else {
        for (size_t i = 0; i < BLOCK; i++) {
            new->data[i] = old->data[i] - lr * (m_hat[i] / (root[i] + eps) + weight_decay * old->data[i]);
        }
    }
    return 1;
}

// Is no parameter there twice? They have been made one after the other, as a rule.
static int are_ascending(const Index *parameters, size_t n) {
    int descents = 0;
    for (size_t i = 1; i < n; i++) descents |= parameters[i - 1] >= parameters[i];
    return !descents;
}

// read n parameters; or return 0 if one has no moments
static int block_read(const Node *nodes, const Index *parameters, size_t n, Block *block) {
    int lacks_moments = 0;
    if (n < BLOCK) *block = (Block){0};  // the loops above go over all of it
    for (size_t i = 0; i < n; i++) {
        const Node *p = &nodes[parameters[i]], *mv = &nodes[p->a];
        lacks_moments |= (p->op != OP_LEAF) | !p->a;
        block->data[i] = p->data;
        block->grad[i] = p->grad;
        block->m[i] = mv->data;
        block->v[i] = mv->grad;
    }
    return !lacks_moments;
}

static void block_write(Node *nodes, const Index *parameters, size_t n, const Block *block) {
    for (size_t i = 0; i < n; i++) {
        Node *p = &nodes[parameters[i]], *mv = &nodes[p->a];
        p->data = block->data[i];
        mv->data = block->m[i];
        mv->grad = block->v[i];
    }
}

// backwards, should a parameter be there twice
static void block_undo(Node *nodes, const Index *parameters, size_t n, const Block *old) {
    while (n-- > 0) {
        Node *p = &nodes[parameters[n]], *mv = &nodes[p->a];
        p->data = old->data[n];
        mv->data = old->m[n];
        mv->grad = old->v[n];
    }
}

// one by one up to the first fault; what they were is then in old, and in the nodes, too
static int block_update_slowly(Tape *tape, const Step *step, const Index *parameters, size_t n, Block *old) {
    for (size_t i = 0; i < n; i++) {
        Node *p = &tape->nodes[parameters[i]], *mv = tape_moments(tape, parameters[i]);
        if (mv) {
            old->data[i] = p->data;
            old->m[i] = mv->data;
            old->v[i] = mv->grad;
            if (!update(step, p->grad, &p->data, &mv->data, &mv->grad, &tape->fault)) continue;
        } else {
            tape->fault = (Fault){.code = FAULT_MOMENTS};
        }
        block_undo(tape->nodes, parameters, mv ? i + 1 : i, old);
        return -1;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// all of them

// saved has room for a block of each BLOCK parameters, as they were before
static int update_all(Tape *tape, const Step *step, const Index *parameters, size_t n, Block *saved) {
    Node *nodes = tape->nodes;
    Block new;
    for (size_t done = 0; done < n; done += BLOCK) {
        Block *old = &saved[done / BLOCK];
        size_t some = n - done < BLOCK ? n - done : BLOCK;
        const Index *these = parameters + done;
        if (are_ascending(these, some) && block_read(nodes, these, some, old) && block_update(step, old, some, &new)) {
            block_write(nodes, these, some, &new);
        } else if (block_update_slowly(tape, step, these, some, old)) {
            for (; done > 0; done -= BLOCK) {
                block_undo(nodes, parameters + done - BLOCK, BLOCK, &saved[done / BLOCK - 1]);
            }
            return -1;
        }
    }
    return 0;
}

static int take_step(Tape *tape, Kind kind, Adam *adam, const Index *parameters, size_t n) {
    double t = adam->t + 1, decay1, decay2;
    if (power(&tape->fault, adam->beta1, t, &decay1) || power(&tape->fault, adam->beta2, t, &decay2)) return -1;
    Step step = {
        .kind = kind, .lr = adam->lr, .beta1 = adam->beta1, .beta2 = adam->beta2, .eps = adam->eps,
        .weight_decay = adam->weight_decay, .bias1 = 1 - decay1, .bias2 = 1 - decay2,
    };
    Block *saved = malloc((n / BLOCK + 1) * sizeof(Block));
    if (!saved) {
        tape->fault = (Fault){.code = FAULT_MEMORY};
        return -1;
    }
    int failed = update_all(tape, &step, parameters, n, saved);
    if (!failed) adam->t = t;
    free(saved);
    return failed;
}

int adam_step(Tape *tape, Adam *adam, const Index *parameters, size_t n) {
    return take_step(tape, ADAM, adam, parameters, n);
}

int adamw_step(Tape *tape, AdamW *adamw, const Index *parameters, size_t n) {
    return take_step(tape, ADAMW, adamw, parameters, n);
}

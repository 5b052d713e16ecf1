// The optimisers, over leaves of the tape. Each rule carries its Python lines.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "tape.h"
#include "vector.h"

// true if they do not stand side by side
FOR_EACH_MACHINE
static int are_apart(const Index *parameters, size_t n) {
    Index apart = 0;
    for (size_t i = 0; i < n; i++) apart |= parameters[i] - parameters[0] - (Index)i;
    return apart != 0;
}

// True if these leaves are known to stand side by side, and to have moments. Their numbers are always
// in place, because a replay keeps no numbers of a leaf that has moments.
static int are_known(const Tape *tape, const Index *parameters, size_t n) {
    return n > 0 && n == tape->nleaves && parameters[0] == tape->leaves && !are_apart(parameters, n);
}

// put their numbers in place
static void settle_parameters(Tape *tape, const Index *parameters, size_t n) {
    if (!are_known(tape, parameters, n)) settle_nodes(tape, parameters, n);
}

// p.grad = 0
void zero_grad(Tape *tape, const Index *parameters, size_t n) {
    if (are_known(tape, parameters, n)) {
        memset(tape->grad + tape->leaves, 0, n * sizeof(double));
        return;
    }
    settle_parameters(tape, parameters, n);
    for (size_t i = 0; i < n; i++) tape->grad[parameters[i]] = 0.0;
}

// p.data -= lr * p.grad
void sgd_step(Tape *tape, double lr, const Index *parameters, size_t n) {
    settle_parameters(tape, parameters, n);
    for (size_t i = 0; i < n; i++) tape->data[parameters[i]] -= lr * tape->grad[parameters[i]];
}

// -----------------------------------------------------------------------------
// the moments: of Adam and AdamW two; SGD with momentum uses the first

// The two moments of a leaf are in a node of their own, the leaf's hidden operand: m is its
// data and v its gradient.
Index tape_moments(const Tape *tape, Index i) {
    const Node *leaf = &tape->nodes[i];
    return leaf->op == OP_LEAF ? leaf->a : 0;
}

int tape_make_moments(Tape *tape, Index i) {
    Index moments = tape_leaf(tape, 0.0);
    if (!moments) return -1;
    // a replay may keep this leaf's gradient in its own array
    if (tape->nodes[i].flags & NODE_REPLAYED) schedules_drop_with(tape, i);
    tape->nodes[moments].op = OP_MOMENTS;
    tape->nodes[moments].refs = 1;
    tape->nodes[i].a = moments;
    tape->nodes[0].refs--;  // one absent operand less
    return 0;
}

void tape_forget_moments(Tape *tape, Index i) {
    Index moments = tape_moments(tape, i);
    if (!moments) return;
    tape->touched++;
    tape->nodes[i].a = 0;
    tape->nodes[0].refs++;
    tape_release(tape, moments);
}

// p.m = p.v = 0
int adam_init(Tape *tape, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!tape_moments(tape, parameters[i]) && tape_make_moments(tape, parameters[i])) return -1;
    }
    for (size_t i = 0; i < n; i++) {
        Index moments = tape_moments(tape, parameters[i]);
        tape->data[moments] = tape->grad[moments] = 0.0;
    }
    return 0;
}

static int lack_moments(const Tape *tape, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!tape_moments(tape, parameters[i])) return 1;
    }
    return 0;
}

// p.m = momentum * p.m + p.grad
// p.data -= lr * p.m
int sgd_momentum_step(Tape *tape, double lr, double momentum, const Index *parameters, size_t n) {
    if (lack_moments(tape, parameters, n)) return fault(tape, FAULT_MOMENTS);
    for (size_t i = 0; i < n; i++) {
        Index p = parameters[i];
        double *m = &tape->data[tape_moments(tape, p)];
        *m = momentum * *m + tape->grad[p];
        tape->data[p] -= lr * *m;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// one parameter of Adam or AdamW

typedef enum Kind { ADAM, ADAMW } Kind;

// the numbers that all parameters of a step have in common
typedef struct AdamStep {
    Kind kind;
    double lr, beta1, beta2, eps, weight_decay;
    double bias1, bias2;  // 1 - beta**t
} AdamStep;

// out = x / y, or a fault
static int divide(Fault *fault, double x, double y, double *out) {
    if (number_div(x, y, out)) return 0;
    *fault = (Fault){.code = FAULT_DIVISION, .operands = 2, .a = x, .b = y};
    return -1;
}

// out = x ** k, or a fault
static int power(Fault *fault, double x, double k, double *out) {
    if (number_power(x, k, out)) return 0;
    *fault = (Fault){.code = FAULT_FORWARD, .op = OP_POW, .operands = 2, .a = x, .b = k};
    return -1;
}

// p.m = beta1 * p.m + (1 - beta1) * p.grad
// p.v = beta2 * p.v + (1 - beta2) * p.grad**2
// m_hat = p.m / (1 - beta1**t)
// v_hat = p.v / (1 - beta2**t)
// p.data -= lr * m_hat / (v_hat**0.5 + eps)                              Adam
// p.data -= lr * (m_hat / (v_hat**0.5 + eps) + weight_decay * p.data)    AdamW
static int update(const AdamStep *step, double grad, double *data, double *m, double *v, Fault *fault) {
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
// a block of them

enum { BLOCK = 64 };

// Where pow may give a float next to ours, v or data are usually the same with either, because they
// are rounded to fewer digits of the power. v and data are monotonic in the power, so it is enough to
// compute them from the floats on both sides.

static inline double next_below(double x) {
    return number_from_bits(bits_of(x) - 1);
}

static inline double next_above(double x) {
    return number_from_bits(bits_of(x) + 1);
}

static inline double new_v(const AdamStep *step, double v, double square) {
    return step->beta2 * v + (1 - step->beta2) * square;
}

static inline double new_data(const AdamStep *step, double data, double m_hat, double root) {
    if (step->kind == ADAM) return data - step->lr * m_hat / (root + step->eps);
    return data - step->lr * (m_hat / (root + step->eps) + step->weight_decay * data);
}

FOR_EACH_MACHINE
static void update_moments(const AdamStep *step, const double *restrict grad, const double *restrict square,
                           double *restrict m, double *restrict v, size_t n) {
    AdamStep one = *step;  // a copy, so that the compiler knows that no store below changes it
    for (size_t i = 0; i < n; i++) m[i] = one.beta1 * m[i] + (1 - one.beta1) * grad[i];
    for (size_t i = 0; i < n; i++) v[i] = new_v(&one, v[i], square[i]);
}

FOR_EACH_MACHINE
static void update_data(const AdamStep *step, const double *restrict data, const double *restrict m_hat,
                        const double *restrict root, double *restrict out, size_t n) {
    AdamStep one = *step;
    for (size_t i = 0; i < n; i++) out[i] = new_data(&one, data[i], m_hat[i], root[i]);
}

// `update` of n parameters, at most BLOCK, that are safe: see below
static void update_block(const AdamStep *step, double *data, const double *grad, double *m, double *v, size_t n) {
    double square[BLOCK], m_hat[BLOCK], v_hat[BLOCK], root[BLOCK], out[BLOCK];
    for (uint64_t unsure = squares(grad, square, n); unsure; unsure &= unsure - 1) {
        size_t i = lowest(unsure);
        int is_same =
            is_near(square[i]) && new_v(step, v[i], next_below(square[i])) == new_v(step, v[i], next_above(square[i]));
        if (!is_same) number_pow(grad[i], 2.0, &square[i]);
    }
    update_moments(step, grad, square, m, v, n);
    quotients(m, step->bias1, m_hat, n);
    quotients(v, step->bias2, v_hat, n);
    uint64_t unsure = roots(v_hat, root, n);
    update_data(step, data, m_hat, root, out, n);
    for (; unsure; unsure &= unsure - 1) {
        size_t i = lowest(unsure);
        int is_same = is_near(root[i])
            && new_data(step, data[i], m_hat[i], next_below(root[i]))
                == new_data(step, data[i], m_hat[i], next_above(root[i]));
        if (is_same) continue;
        number_pow(v_hat[i], 0.5, &root[i]);
        out[i] = new_data(step, data[i], m_hat[i], root[i]);
    }
    memcpy(data, out, n * sizeof *data);
}

// -----------------------------------------------------------------------------
// all of them

// True if they stand side by side, and their moments, too; notes that in the tape.
static int are_together(Tape *tape, const Index *parameters, size_t n) {
    if (are_known(tape, parameters, n)) return 1;
    if (n == 0 || are_apart(parameters, n)) return 0;
    Index first = parameters[0], moments = tape_moments(tape, first), apart = !moments;
    for (Index i = 0; i < n; i++) apart |= tape_moments(tape, first + i) ^ (moments + i);
    if (apart) return 0;
    tape->leaves = first;
    tape->moments = moments;
    tape->nleaves = n;
    return 1;
}

// True if no update can fail (with are_safe): no square overflows, no root is of a negative number, and
// no divisor is 0.
static int is_safe(const AdamStep *step) {
    double beta1 = step->beta1, beta2 = step->beta2;
    return beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 && step->bias1 > 0 && step->bias2 > 0 && step->eps > 0;
}

FOR_EACH_MACHINE
static int are_safe(const double *grad, const double *v, size_t n) {
    uint64_t unsafe = 0;
    for (size_t i = 0; i < n; i++) unsafe |= (uint64_t)(fabs(grad[i]) >= 0x1p511) | (uint64_t)(v[i] < 0);
    return !unsafe;
}

static int update_one(Tape *tape, const AdamStep *step, Index p) {
    Index moments = tape_moments(tape, p);
    return update(step, tape->grad[p], &tape->data[p], &tape->data[moments], &tape->grad[moments], &tape->fault);
}

static void update_together(Tape *tape, const AdamStep *step, size_t n) {
    double *data = tape->data + tape->leaves, *grad = tape->grad + tape->leaves;
    double *m = tape->data + tape->moments, *v = tape->grad + tape->moments;
    for (size_t i = 0; i < n; i += BLOCK) {
        update_block(step, data + i, grad + i, m + i, v + i, n - i < BLOCK ? n - i : BLOCK);
    }
}

// one by one up to the first fault, and then undone in reverse, because a parameter may be listed twice
static int update_apart(Tape *tape, const AdamStep *step, const Index *parameters, size_t n) {
    if (lack_moments(tape, parameters, n)) return fault(tape, FAULT_MOMENTS);
    double *saved = malloc((3 * n + 1) * sizeof *saved);
    size_t done = 0;
    if (!saved) return out_of_memory(tape);
    int failed = 0;
    for (; done < n && !failed; done++) {
        Index p = parameters[done], moments = tape_moments(tape, p);
        saved[3 * done] = tape->data[p];
        saved[3 * done + 1] = tape->data[moments];
        saved[3 * done + 2] = tape->grad[moments];
        failed = update_one(tape, step, p);
    }
    for (; failed && done > 0; done--) {
        Index p = parameters[done - 1], moments = tape_moments(tape, p);
        tape->data[p] = saved[3 * done - 3];
        tape->data[moments] = saved[3 * done - 2];
        tape->grad[moments] = saved[3 * done - 1];
    }
    free(saved);
    return failed;
}

static int take_step(Tape *tape, Kind kind, Adam *adam, const Index *parameters, size_t n) {
    double t = adam->t + 1, decay1, decay2;
    if (power(&tape->fault, adam->beta1, t, &decay1) || power(&tape->fault, adam->beta2, t, &decay2)) return -1;
    AdamStep step = {
        .kind = kind,
        .lr = adam->lr,
        .beta1 = adam->beta1,
        .beta2 = adam->beta2,
        .eps = adam->eps,
        .weight_decay = adam->weight_decay,
        .bias1 = 1 - decay1,
        .bias2 = 1 - decay2,
    };
    if (are_together(tape, parameters, n) && is_safe(&step)
        && are_safe(tape->grad + tape->leaves, tape->grad + tape->moments, n)) {
        update_together(tape, &step, n);
    } else if (update_apart(tape, &step, parameters, n)) {
        return -1;
    }
    adam->t = t;
    return 0;
}

int adam_step(Tape *tape, Adam *adam, const Index *parameters, size_t n) {
    return take_step(tape, ADAM, adam, parameters, n);
}

int adamw_step(Tape *tape, AdamW *adamw, const Index *parameters, size_t n) {
    return take_step(tape, ADAMW, adamw, parameters, n);
}

// The optimisers, over leaves of the tape. Each function carries its Python lines.

#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"

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
int adamw_init(Tape *tape, const Index *parameters, size_t n) {
    if (moments_make(tape, parameters, n)) return -1;
    for (size_t i = 0; i < n; i++) {
        Node *moments = tape_moments(tape, parameters[i]);
        moments->data = 0.0;
        moments->grad = 0.0;
    }
    return 0;
}

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
// p.data -= lr * (m_hat / (v_hat**0.5 + eps) + weight_decay * p.data)
static int adamw_update(const AdamW *adamw, double bias1, double bias2, Node *p, Node *mv, Fault *fault) {
    double g = p->grad, square, m_hat, v_hat, root, ratio;
    mv->data = adamw->beta1 * mv->data + (1 - adamw->beta1) * g;
    if (!number_square(g, &square)) return power(fault, g, 2.0, &square);
    mv->grad = adamw->beta2 * mv->grad + (1 - adamw->beta2) * square;
    if (divide(fault, mv->data, bias1, &m_hat)) return -1;
    if (divide(fault, mv->grad, bias2, &v_hat)) return -1;
    if (power(fault, v_hat, 0.5, &root)) return -1;
    if (divide(fault, m_hat, root + adamw->eps, &ratio)) return -1;
    p->data -= adamw->lr * (ratio + adamw->weight_decay * p->data);
    return 0;
}

int adamw_step(Tape *tape, AdamW *adamw, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (tape_moments(tape, parameters[i])) continue;
        tape->fault = (Fault){.code = FAULT_MOMENTS};
        return -1;
    }
    double *saved = malloc((3 * n + 1) * sizeof(double));
    if (!saved) {
        tape->fault = (Fault){.code = FAULT_MEMORY};
        return -1;
    }
    double decay1 = 0, decay2 = 0;
    int failed = power(&tape->fault, adamw->beta1, adamw->t + 1, &decay1)
                 || power(&tape->fault, adamw->beta2, adamw->t + 1, &decay2) ? -1 : 0;
    double bias1 = 1 - decay1, bias2 = 1 - decay2;
    size_t i;
    for (i = 0; i < n && !failed; i++) {
        Node *p = tape_node(tape, parameters[i]), *mv = tape_moments(tape, parameters[i]);
        memcpy(saved + 3 * i, (double[]){p->data, mv->data, mv->grad}, 3 * sizeof(double));
        failed = adamw_update(adamw, bias1, bias2, p, mv, &tape->fault);
    }
    if (!failed) {
        adamw->t += 1;
    } else {
        while (i-- > 0) {  // backwards, should a parameter be there twice
            Node *p = &tape->nodes[parameters[i]], *mv = tape_moments(tape, parameters[i]);
            p->data = saved[3 * i];
            mv->data = saved[3 * i + 1];
            mv->grad = saved[3 * i + 2];
        }
    }
    free(saved);
    return failed;
}

// p.data -= lr * p.grad
void sgd_step(Tape *tape, double lr, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        Node *p = tape_node(tape, parameters[i]);
        p->data -= lr * p->grad;
    }
}

// p.grad = 0
void zero_grad(Tape *tape, const Index *parameters, size_t n) {
    for (size_t i = 0; i < n; i++) tape_node(tape, parameters[i])->grad = 0.0;
}

// What nn.c, functions.c, loss.c and the sums of operations.c compute, without a graph: the same
// operations in the same order, so the same numbers and faults; but only the results become nodes.

#include <stdlib.h>
#include <string.h>
#include "tape.h"

// a node's number, or the number given where there is no node
static double number_of(Tape *tape, const Index *nodes, const double *numbers, size_t i) {
    return nodes[i] ? *tape_data(tape, nodes[i]) : numbers[i];
}

static void numbers_of(Tape *tape, const Index *nodes, const double *numbers, size_t n, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = number_of(tape, nodes, numbers, i);
}

static double *numbers_new(Tape *tape, size_t n) {
    double *numbers = malloc((n + 1) * sizeof *numbers);
    if (!numbers) out_of_memory(tape);
    return numbers;
}

// out = op(a, b), or the fault of that operation
static int compute(Tape *tape, Op op, double a, double b, int operands, double *out) {
    if (op_forward(op, a, b, out)) return 0;
    tape->fault = (Fault){.code = FAULT_FORWARD, .op = (int)op, .operands = operands, .a = a, .b = b, .out = *out};
    return -1;
}

static int leaves_new(Tape *tape, const double *numbers, size_t n, Index *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = tape_leaf(tape, numbers[i]);
        if (out[i]) continue;
        while (i > 0) tape_discard(tape, out[--i]);
        return -1;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// sums

// total = start
// for wi, xi in zip(w, x):
//     total = total + wi*xi
Index dot_evaluate(Tape *tape, Index start, double number, const Index *w, const double *w_numbers, const Index *x,
                   const double *x_numbers, size_t n) {
    double total = number_of(tape, &start, &number, 0);
    for (size_t i = 0; i < n; i++) {
        total = total + number_of(tape, w, w_numbers, i) * number_of(tape, x, x_numbers, i);
    }
    return tape_leaf(tape, total);
}

// total = start
// for xi in x:
//     total = total + xi
Index sum_evaluate(Tape *tape, Index start, double number, const Index *x, const double *numbers, size_t n) {
    double total = number_of(tape, &start, &number, 0);
    for (size_t i = 0; i < n; i++) total = total + number_of(tape, x, numbers, i);
    return tape_leaf(tape, total);
}

// return [dot(row, x) for row in w]
int linear_evaluate(Tape *tape, const Index *x, const double *x_numbers, size_t nin, const Index *w,
                    const double *w_numbers, size_t nout, Index *out) {
    for (size_t i = 0; i < nout; i++) {
        const double *numbers = w_numbers ? w_numbers + i * nin : NULL;
        out[i] = dot_evaluate(tape, 0, 0.0, w + i * nin, numbers, x, x_numbers, nin);
        if (out[i]) continue;
        while (i > 0) tape_discard(tape, out[--i]);
        return -1;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// networks

// for layer in self.layers:
//     x = layer(x)
// return x
//
// hidden has room for two of the widest layer
static void mlp_numbers(const MLP *mlp, const double *parameters, double *hidden, size_t width, const double *x,
                        double *out) {
    for (size_t l = 0; l < mlp->nlayers; l++) {
        size_t nin = mlp->sizes[l], nout = mlp->sizes[l + 1];
        double *y = l + 1 == mlp->nlayers ? out : hidden + (l % 2) * width;
        for (size_t k = 0; k < nout; k++) {
            double act = parameters[nin];
            for (size_t i = 0; i < nin; i++) act = act + parameters[i] * x[i];
            op_forward((Op)mlp->activations[l], act, 0.0, &act);  // tanh and relu have a result for every number
            y[k] = act;
            parameters += nin + 1;
        }
        x = y;
    }
}

// of the widest layer, inputs and outputs included
static size_t mlp_width(const MLP *mlp) {
    size_t width = 0;
    for (size_t l = 0; l <= mlp->nlayers; l++) {
        if (mlp->sizes[l] > width) width = mlp->sizes[l];
    }
    return width;
}

int mlp_evaluate(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, Index *out) {
    size_t n = mlp_parameters(mlp), width = mlp_width(mlp);
    double *parameters = numbers_new(tape, n + 4 * width);
    if (!parameters) return -1;
    double *inputs = parameters + n, *outputs = inputs + width;
    numbers_of(tape, mlp->parameters, NULL, n, parameters);
    numbers_of(tape, x, numbers, mlp->sizes[0], inputs);
    mlp_numbers(mlp, parameters, outputs + width, width, inputs, outputs);
    int failed = leaves_new(tape, outputs, mlp->sizes[mlp->nlayers], out);
    free(parameters);
    return failed;
}

// -----------------------------------------------------------------------------
// softmax and the losses

// max_val = max(val.data for val in x)
// ex = [(xi - max_val).exp() for xi in x]
// denom = sum(ex)
static int exponential_numbers(Tape *tape, const double *x, size_t n, double *ex, double *denom) {
    double largest = x[0];
    for (size_t i = 1; i < n; i++) op_forward(OP_LARGER, largest, x[i], &largest);
    *denom = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (compute(tape, OP_EXP, x[i] + -largest, 0.0, 1, &ex[i])) return -1;
        *denom = *denom + ex[i];
    }
    return 0;
}

// out = a / b, that is a * b**-1
static int divide(Tape *tape, double a, double b, double *out) {
    double inverse = 0.0;
    if (compute(tape, OP_POW, b, -1.0, 2, &inverse)) return -1;
    *out = a * inverse;
    return 0;
}

// return [e / denom for e in ex]
int softmax_evaluate(Tape *tape, const Index *x, size_t n, Index *out) {
    double *ex = numbers_new(tape, n), denom;
    if (!ex) return -1;
    numbers_of(tape, x, NULL, n, ex);
    int failed = exponential_numbers(tape, ex, n, ex, &denom);
    for (size_t i = 0; i < n && !failed; i++) failed = divide(tape, ex[i], denom, &ex[i]);
    if (!failed) failed = leaves_new(tape, ex, n, out);
    free(ex);
    return failed;
}

// return -(ex[target] / denom).log()
static int cross_entropy_number(Tape *tape, double *logits, size_t n, size_t target, double *out) {
    double denom, probability, logarithm = 0.0;
    if (exponential_numbers(tape, logits, n, logits, &denom)) return -1;
    if (divide(tape, logits[target], denom, &probability)) return -1;
    if (compute(tape, OP_LOG, probability, 0.0, 1, &logarithm)) return -1;
    *out = logarithm * -1.0;
    return 0;
}

Index cross_entropy_evaluate(Tape *tape, const Index *logits, size_t n, size_t target) {
    double *numbers = numbers_new(tape, n), loss;
    if (!numbers) return 0;
    numbers_of(tape, logits, NULL, n, numbers);
    int failed = cross_entropy_number(tape, numbers, n, target, &loss);
    free(numbers);
    return failed ? 0 : tape_leaf(tape, loss);
}

// 1.0 if the target's logit is the largest, the first one of those that are, and 0.0 if not. With nan
// among the logits none is.
//
// chosen = logits[target]
// return all(x < chosen for x in logits[:target]) and all(x <= chosen for x in logits[target:])
static int is_largest(Tape *tape, double *logits, size_t n, size_t target, double *out) {
    (void)tape;
    int is = 1;
    for (size_t i = 0; i < target; i++) is &= logits[i] < logits[target];
    for (size_t i = target; i < n; i++) is &= logits[i] <= logits[target];
    *out = is;
    return 0;
}

// What is computed of one point's logits, which may be overwritten; 0, or -1.
typedef int Measure(Tape *tape, double *logits, size_t n, size_t target, double *out);

// total = 0.0
// for x, y in split:
//     total = total + measure(model(x), y)
static int total_of(Tape *tape, Measure *measure, const MLP *mlp, const Index *x, const double *numbers,
                    const int32_t *labels, size_t n, double *total) {
    size_t count = mlp_parameters(mlp), width = mlp_width(mlp);
    size_t nin = mlp->sizes[0], nout = mlp->sizes[mlp->nlayers];
    double *parameters = numbers_new(tape, count + 4 * width), one = 0.0;
    if (!parameters) return -1;
    double *inputs = parameters + count, *logits = inputs + width, *hidden = logits + width;
    numbers_of(tape, mlp->parameters, NULL, count, parameters);
    int failed = 0;
    *total = 0.0;
    for (size_t i = 0; i < n && !failed; i++) {
        numbers_of(tape, x + i * nin, numbers + i * nin, nin, inputs);
        mlp_numbers(mlp, parameters, hidden, width, inputs, logits);
        failed = measure(tape, logits, nout, (size_t)labels[i], &one);
        *total = *total + one;
    }
    free(parameters);
    return failed;
}

// return total_loss * (1.0 / len(split))
Index mean_cross_entropy_evaluate(Tape *tape, const MLP *mlp, const Index *x, const double *numbers,
                                  const int32_t *labels, size_t n) {
    double total;
    if (total_of(tape, cross_entropy_number, mlp, x, numbers, labels, n, &total)) return 0;
    return tape_leaf(tape, total * (1.0 / (double)n));
}

// return hits / len(split)
int accuracy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, const int32_t *labels, size_t n,
             double *share) {
    double hits;
    if (total_of(tape, is_largest, mlp, x, numbers, labels, n, &hits)) return -1;
    *share = hits / (double)n;
    return 0;
}

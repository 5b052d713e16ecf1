// The networks and the losses, recorded on the tape node for node as the course's Python
// loops would record them. Each function carries those loops.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"

static int out_of_memory(Tape *tape) {
    tape->fault = (Fault){.code = FAULT_MEMORY};
    return -1;
}

static void discard_all(Tape *tape, const Index *nodes, size_t n) {
    for (size_t i = 0; i < n; i++) tape_discard(tape, nodes[i]);
}

// -----------------------------------------------------------------------------
// neuron, layer, MLP

// act = self.b
// for wi, xi in zip(self.w, x):
//     act = act + wi*xi
// return act.tanh() if self.nonlin else act
Index neuron_call(Tape *tape, const Index *parameters, size_t nin,
                  const Index *x, const double *numbers, int activation) {
    Index act = tape_dot(tape, parameters[nin], 0.0, parameters, NULL, x, numbers, nin);
    return activation ? tape_unary(tape, (Op)activation, act) : act;
}

// return [n(x) for n in self.neurons]
//
// The neuron `first` is recorded before the others: see mean_cross_entropy.
static int layer_record(Tape *tape, const Index *parameters, size_t nin, size_t nout,
                        const Index *x, const double *numbers, int activation, size_t first, Index *out) {
    memset(out, 0, nout * sizeof(Index));
    for (size_t k = 0; k < nout; k++) {
        size_t i = k == 0 ? first : k <= first ? k - 1 : k;  // first, 0, 1, ... without first
        out[i] = neuron_call(tape, parameters + i * (nin + 1), nin, x, numbers, activation);
        if (!out[i]) {
            discard_all(tape, out, nout);
            return -1;
        }
    }
    return 0;
}

int layer_call(Tape *tape, const Index *parameters, size_t nin, size_t nout,
               const Index *x, const double *numbers, int activation, Index *out) {
    return layer_record(tape, parameters, nin, nout, x, numbers, activation, 0, out);
}

size_t mlp_parameters(const MLP *mlp) {
    size_t n = 0;
    for (size_t l = 0; l < mlp->nlayers; l++) n += (size_t)mlp->sizes[l + 1] * (mlp->sizes[l] + 1);
    return n;
}

// the widest layer, inputs and outputs excepted: they have room of their own
static size_t mlp_width(const MLP *mlp) {
    size_t width = 0;
    for (size_t l = 1; l < mlp->nlayers; l++) {
        if (mlp->sizes[l] > width) width = mlp->sizes[l];
    }
    return width;
}

// for layer in self.layers:
//     x = layer(x)
// return x
//
// hidden has room for two layers of the network's width: one is read, one written
static int mlp_record(Tape *tape, const MLP *mlp, Index *hidden,
                      const Index *x, const double *numbers, size_t first, Index *out) {
    size_t width = mlp_width(mlp);
    const Index *parameters = mlp->parameters;
    for (size_t l = 0; l < mlp->nlayers; l++) {
        size_t nin = mlp->sizes[l], nout = mlp->sizes[l + 1];
        int last = l + 1 == mlp->nlayers;
        Index *y = last ? out : hidden + (l % 2) * width;
        if (layer_record(tape, parameters, nin, nout, x, numbers, mlp->activations[l], last ? first : 0, y)) {
            if (l > 0) discard_all(tape, x, nin);
            return -1;
        }
        parameters += nout * (nin + 1);
        x = y;
    }
    return 0;
}

int mlp_call(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, Index *out) {
    Index *hidden = malloc((2 * mlp_width(mlp) + 1) * sizeof(Index));
    if (!hidden) return out_of_memory(tape);
    int result = mlp_record(tape, mlp, hidden, x, numbers, 0, out);
    free(hidden);
    return result;
}

// self.w = [Value(random.uniform(-1, 1) * nin**-0.5) for _ in range(nin)]
// self.b = Value(0)
int mlp_init(Tape *tape, MLP *mlp, RNG *rng) {
    size_t n = 0;
    for (size_t l = 0; l < mlp->nlayers; l++) {
        double scale = pow(mlp->sizes[l], -0.5);
        for (uint32_t neuron = 0; neuron < mlp->sizes[l + 1]; neuron++) {
            for (uint32_t i = 0; i <= mlp->sizes[l]; i++) {
                double data = i < mlp->sizes[l] ? rng_uniform(rng, -1.0, 1.0) * scale : 0.0;
                Index parameter = tape_leaf(tape, data);
                if (!parameter) {
                    while (n) tape_release(tape, mlp->parameters[--n]);
                    return -1;
                }
                tape_hold(tape, parameter);
                mlp->parameters[n++] = parameter;
            }
        }
    }
    return 0;
}

// -----------------------------------------------------------------------------
// softmax and the losses

// return [dot(row, x) for row in w]
int linear(Tape *tape, const Index *x, const double *x_numbers, size_t nin,
           const Index *w, const double *w_numbers, size_t nout, Index *out) {
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
// Leaves nothing in ex if it fails. The course's max_val is a number; ours is
// computed again when forward goes over the recording.
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

// return -(ex[target] / denom).log()
//
// The course divides all of ex; who is not the target's would be freed at once.
static Index cross_entropy_record(Tape *tape, const Index *logits, size_t n, size_t target, Index *ex) {
    Index denom;
    if (exponentials(tape, logits, n, ex, &denom)) return 0;
    return tape_neg(tape, tape_unary(tape, OP_LOG, tape_div(tape, ex[target], denom)));
}

Index cross_entropy(Tape *tape, const Index *logits, size_t n, size_t target) {
    Index *ex = malloc(n * sizeof(Index));
    if (!ex) {
        out_of_memory(tape);
        return 0;
    }
    Index loss = cross_entropy_record(tape, logits, n, target, ex);
    free(ex);
    return loss;
}

// cross_entropy(model([Value(xi) for xi in x]), y)
//
// room is for the inputs, the logits, their exponentials and the hidden layers
static Index point_cross_entropy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers,
                                 size_t label, Index *room) {
    size_t nin = mlp->sizes[0], nout = mlp->sizes[mlp->nlayers];
    Index *inputs = room, *logits = inputs + nin, *ex = logits + nout, *hidden = ex + nout;
    Index loss = 0;
    size_t k = 0;
    while (k < nin && (inputs[k] = x[k] ? x[k] : tape_leaf(tape, numbers[k]))) k++;
    if (k == nin && mlp_record(tape, mlp, hidden, inputs, numbers, label, logits) == 0) {
        loss = cross_entropy_record(tape, logits, nout, label, ex);
        if (!loss) discard_all(tape, logits, nout);
    }
    if (!loss) discard_all(tape, inputs, k);
    return loss;
}

// total_loss = Value(0.0)
// for x, y in split:
//     total_loss = total_loss + cross_entropy(model([Value(xi) for xi in x]), y)
// return total_loss * (1.0 / len(split))
//
// The recording is logged, for its order is one that the passes may take. A gradient adds up
// in the order in which backward comes to a node's users, so those must come as they would
// in a depth-first walk from the loss: points in order, a hidden layer's neurons in order,
// and of the logits the label's first, from where the walk comes to the hidden layers.
Index mean_cross_entropy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers,
                         const int32_t *labels, size_t n) {
    size_t nin = mlp->sizes[0], nout = mlp->sizes[mlp->nlayers];
    Index *room = malloc((nin + 2 * nout + 2 * mlp_width(mlp)) * sizeof(Index));
    if (!room) {
        out_of_memory(tape);
        return 0;
    }
    tape_log_start(tape, mlp->parameters, mlp_parameters(mlp), x, n * nin);
    Index total = tape_leaf(tape, 0.0);
    for (size_t i = 0; i < n && total; i++) {
        Index loss = point_cross_entropy(tape, mlp, x + i * nin, numbers + i * nin, (size_t)labels[i], room);
        total = tape_binary(tape, OP_ADD, total, loss);
    }
    free(room);
    Index mean = tape_binary(tape, OP_MUL, total, total ? tape_leaf(tape, 1.0 / (double)n) : 0);
    tape_log_end(tape, mean);
    return mean;
}

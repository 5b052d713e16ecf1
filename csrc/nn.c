// The networks, recorded on the tape node for node as the course's Python loops would record
// them. Each function carries those loops.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "nn.h"

// act = self.b
// for wi, xi in zip(self.w, x):
//     act = act + wi*xi
// return act.tanh() if self.nonlin else act
Index neuron_call(Tape *tape, const Index *parameters, size_t nin, const Index *x, const double *numbers,
                  int activation) {
    Index act = tape_dot(tape, parameters[nin], 0.0, parameters, NULL, x, numbers, nin);
    return activation ? tape_unary(tape, (Op)activation, act) : act;
}

// return [n(x) for n in self.neurons]
//
// The neuron `first` is recorded before the others: see mean_cross_entropy.
static int layer_record(Tape *tape, const Index *parameters, size_t nin, size_t nout, const Index *x,
                        const double *numbers, int activation, size_t first, Index *out) {
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

int layer_call(Tape *tape, const Index *parameters, size_t nin, size_t nout, const Index *x, const double *numbers,
               int activation, Index *out) {
    return layer_record(tape, parameters, nin, nout, x, numbers, activation, 0, out);
}

size_t mlp_parameters(const MLP *mlp) {
    size_t n = 0;
    for (size_t l = 0; l < mlp->nlayers; l++) n += (size_t)mlp->sizes[l + 1] * (mlp->sizes[l] + 1);
    return n;
}

// inputs and outputs are not counted: they have room of their own
size_t mlp_hidden_width(const MLP *mlp) {
    size_t width = 0;
    for (size_t l = 1; l < mlp->nlayers; l++) {
        if (mlp->sizes[l] > width) width = mlp->sizes[l];
    }
    return width;
}

// for layer in self.layers:
//     x = layer(x)
// return x
int mlp_record(Tape *tape, const MLP *mlp, Index *hidden, const Index *x, const double *numbers, size_t first,
               Index *out) {
    size_t width = mlp_hidden_width(mlp);
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
    Index *hidden = malloc((2 * mlp_hidden_width(mlp) + 1) * sizeof(Index));
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

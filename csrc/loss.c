// The losses.

#include <stdlib.h>
#include "nn.h"

// return -(ex[target] / denom).log()
//
// The course divides all of ex; here only the target's, for the others would be freed at once.
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
static Index point_cross_entropy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, size_t label,
                                 Index *room) {
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
// The recording is logged: its order serves as the order of the passes. A gradient is a sum in the
// order in which backward visits a node's users, so they are recorded in the order of a depth-first
// walk from the loss: points in order, a hidden layer's neurons in order, and of the logits the
// label's first, because the walk reaches the hidden layers from there.
Index mean_cross_entropy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, const int32_t *labels,
                         size_t n) {
    size_t nin = mlp->sizes[0], nout = mlp->sizes[mlp->nlayers];
    Index *room = malloc((nin + 2 * nout + 2 * mlp_hidden_width(mlp)) * sizeof(Index));
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

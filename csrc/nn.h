// What nn.c and loss.c share.

#ifndef MICROGRAD_NN_H
#define MICROGRAD_NN_H

#include "tape.h"

size_t mlp_hidden_width(const MLP *mlp);  // of the widest layer between inputs and outputs

// mlp_call, but of the last layer the neuron `first` is recorded before the others; and `hidden` has
// room for two layers of the hidden width: one is read, one written.
int mlp_record(Tape *tape, const MLP *mlp, Index *hidden, const Index *x, const double *numbers, size_t first,
               Index *out);

#endif

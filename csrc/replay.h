// A recording compiled for passes over it again and again (replay.c); tape.c keeps one with
// a root that forward comes to a second time, and is the only one to use this.

#ifndef MICROGRAD_REPLAY_H
#define MICROGRAD_REPLAY_H

#include "micrograd.h"

// A replay that holds numbers has computed them and not yet written them to its nodes. Only
// the root's data and gradient and the leaves' gradients are always in their nodes.
struct Replay {
    Replay *next_held;   // of those that the tape must settle before anybody looks
    enum { HOLDS_NOTHING, HOLDS_DATA, HOLDS_GRADIENTS } holds;
    Index root;
    Index leaves;        // slots 1 .. leaves are leaves,
    Index slots;         // and up to here inner nodes; slot 0 stands for operands that are not there
    Index *nodes;        // by slot: the node
    double *data;        // by slot: of the last forward pass
    double *spare;       // by slot: where the next one computes
    double *grad;        // by slot: of the last backward pass
    struct Instruction *forward, *backward;  // the same list where both go the same way
    Index forwards, backwards;               // how many instructions
    struct Term *terms;  // of all dots
    Index nterms;
};

// Compile the nodes in `forward` order, and in an order for backward, which may be the same.
// NULL: there is no memory, or another replay has one of the inner nodes.
Replay *replay_new(Tape *tape, const Index *forward, size_t n, const Index *backward, size_t m);
void replay_free(Tape *tape, Replay *replay);

// Both passes return 0, or -1 and leave everything as it was.
int replay_forward(Tape *tape, Replay *replay);
int replay_backward(Tape *tape, Replay *replay);

// Can backward go over what the last forward has left? Not twice, and not if a number that
// it reads has been set since.
int replay_is_ready(const Tape *tape, const Replay *replay);

// Write what it holds to its nodes; after that it holds nothing.
void replay_settle(Tape *tape, Replay *replay);

#endif

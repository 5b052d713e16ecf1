// A recording compiled for passes over it again and again: made by compile.c, run by replay.c.
// tape.c keeps one with a root that forward comes to a second time, and with a recording whose
// inputs change; it is the only one to use this.

#ifndef MICROGRAD_REPLAY_H
#define MICROGRAD_REPLAY_H

#include "micrograd.h"

// A program is a list of batches: the same operation again and again, over slots of the
// arrays data and grad.
typedef struct Batch {
    Index op;        // an Op, or one of BatchOp
    Index first, n;  // of the instructions; of the dots where it is one of those
    Index length;    // of each row: how many terms it has
    Index times;     // of a grid: how many vectors
    int is_run;      // the results stand side by side, and so do the operands; of a grid the starts
    Index level;     // it depends on batches of lower levels only
} Batch;

enum BatchOp {
    DOTS = OP_FREE + 1,  // sums of products, their terms anywhere
    DENSE,               // the same: the weights side by side, and the inputs, too; of one length
    ROWS,                // and all with the same inputs: rows of a matrix times a vector
    GRID                 // the same rows times many vectors: the n dots of one after those of another
};

typedef struct Instruction {
    Index out, a, b;     // slots; slot 0 stands for operands that are not there
} Instruction;

//     act = start
//     for wi, xi in zip(w, x):
//         act = act + wi*xi
//
// Or act + xi: then wi is slot 0, whose data is 1.
typedef struct Dot {
    Index out, start;    // slots
    Index w, x;          // of the first term; where it is dense the others follow them
    Index n, terms;      // how many terms, and where they begin
} Dot;

typedef struct Term {
    Index w, x;          // slots
    Index product, sum;  // the nodes; 0 if there is no product
} Term;

typedef struct Program {
    Batch *batches;
    Instruction *instructions;
    Dot *dots;
    Index nbatches, ninstructions, ndots;
} Program;

// leaves whose nodes stand side by side, as their slots do
typedef struct Span {
    Index node, slot, n;
} Span;

// One of n rows of nodes that an integer chooses, copied by `width` nodes of OP_TAKE.
struct Choice {
    size_t integer;      // which one of the integers that a call gives
    Index width, n;
    Index chosen;
    Index before;        // the one chosen before recording_set
    Index *takes;
    Index *items;        // row by row
};

// a choice as the programs have it
typedef struct Switch {
    Index width;
    Index *items;        // slots, row by row
    Index *forward;      // the instructions of the takes in the two programs
    Index *backward;
    // where the items are computed from rows of a matrix: the order in which backward adds what
    // they pass on to the inputs is from the last to the first, and the chosen one comes last
    Index first, nrows;  // the rows among the dots of the backward program; 0: there are none
    Dot *rows;           // by item
} Switch;

// A replay that holds numbers has computed them and not yet written them to its nodes. Only
// the outputs' data and gradients and the leaves' gradients are always in their nodes; not
// those of private leaves, which were used by this graph alone when it was compiled.
struct Replay {
    Replay *next_held;   // of those that the tape must settle before anybody looks
    enum { HOLDS_NOTHING, HOLDS_DATA, HOLDS_GRADIENTS } holds;
    Index leaves;        // slots 1 .. leaves are leaves,
    Index privates;      // up to here private ones,
    Index slots;         // and up to here inner nodes
    char *block;         // memory for all that is by slot, and the terms
    Index *nodes;        // by slot: the node
    Span *spans;           // of the leaves that are not private
    Index nspans;
    double *data;        // by slot: of the last forward pass
    double *spare;       // by slot: where the next one computes
    double *grad;        // by slot: of the last backward pass
    double *before;      // the private leaves' gradients before the pass under way
    Program forward, backward;
    Term *terms;         // of all dots
    Index nterms;
    Index *outputs;      // slots; the first one is the root of the backward pass
    Index noutputs;
    Switch *switches;    // by choice
    Index nswitches;
};

// Compile all that is below the outputs; backward goes from the first one. NULL: there is no memory,
// another replay has one of the nodes, one has a function of its owner's, or one of the choices
// changes the order of backward in a way that is not known here.
Replay *replay_new(Tape *tape, const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices);
void replay_free(Tape *tape, Replay *replay);
void compiler_free(Tape *tape);
int replay_has(const Replay *replay, Index i);  // whether it computes node i or reads it
int replay_is_alive(const Tape *tape, const Replay *replay);  // whether a node is that it alone has numbers of

// The choice takes another item from now on.
void replay_choose(Replay *replay, size_t choice, Index item);

// Both passes return 0, or -1 and leave everything as it was. Which operation failed is not known
// then: the passes over the nodes find out. Backward goes over what the last forward has left: not
// twice, and not if a number that it reads has been set since.
int replay_forward(Tape *tape, Replay *replay);
int replay_backward(Tape *tape, Replay *replay);

// Write what it holds to its nodes; after that it holds nothing.
void replay_settle(Tape *tape, Replay *replay);

#endif

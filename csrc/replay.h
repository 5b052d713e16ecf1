// A replay: a graph compiled into two programs, one for each pass. compile.c makes it, replay.c runs
// it, and schedule.c keeps it: with a root whose forward pass is run a second time, and with a
// recording whose inputs change.

#ifndef MICROGRAD_REPLAY_H
#define MICROGRAD_REPLAY_H

#include "micrograd.h"

// -----------------------------------------------------------------------------
// programs

// A program is a list of batches. A batch is one operation, many times; its operands and results are
// slots, positions in the replay's arrays data and grad.
typedef struct Batch {
    Index op;        // an Op, or one of BatchOp
    Index first, n;  // which instructions, or which dots
    Index length;    // of DENSE, ROWS and GRID: how many terms each dot has
    Index times;     // of GRID: how many vectors
    int is_run;      // the results stand side by side, and so do the operands; of GRID the starts
    Index level;     // for the compiler: it depends on batches of lower levels only
} Batch;

enum BatchOp {
    DOTS = OP_FREE + 1,  // sums of products, their factors anywhere
    DENSE,               // the weights of each dot side by side, and its inputs, too; all of one length
    ROWS,                // and all with the same inputs: rows of a matrix times a vector
    GRID                 // the same rows times many vectors: n dots for each vector
};

typedef struct Instruction {
    Index out, a, b;     // slots; 0 if there is no such operand
} Instruction;

//     act = start
//     for wi, xi in zip(w, x):
//         act = act + wi*xi
//
// Or act + xi: then wi is slot 0, whose data is 1. The products and sums inside have no slot.
typedef struct Dot {
    Index out, start;    // slots
    Index w, x;          // slots of the first term; if it is dense the others follow them
    Index n, terms;      // how many terms, and the first one's index
} Dot;

typedef struct Term {
    Index w, x;          // slots
    Index product, sum;  // nodes, for replay_settle; 0 if there is no product
} Term;

typedef struct Program {
    Batch *batches;
    Instruction *instructions;
    Dot *dots;
    Index nbatches, ninstructions, ndots;
} Program;

// -----------------------------------------------------------------------------
// choices

// Of n rows of nodes, an integer chooses the one that `width` nodes of OP_TAKE copy: take(rows, i).
struct Choice {
    size_t integer;      // which of a call's integers
    Index width, n;
    Index chosen;
    Index before;        // what was chosen before recording_set
    Index *takes;
    Index *items;        // row by row
};

// a choice in the two programs
typedef struct Switch {
    Index width;
    Index *items;        // slots, row by row
    Index *forward;      // the takes' instructions in each program
    Index *backward;
    // If each item is computed from a row of a matrix (compile_choices.c), backward goes from the last
    // row to the first, without the chosen one, which comes after them.
    Index first, nrows;  // where the rows are among the dots of the backward program; or nrows is 0
    Dot *rows;           // by item
} Switch;

// -----------------------------------------------------------------------------
// replays

// leaves whose nodes stand side by side, as their slots do
typedef struct Span {
    Index node, slot, n;
} Span;

// A replay that holds numbers has computed them, and replay_settle has not yet written them to its
// nodes. Always in their nodes are the outputs' data and gradients, and the gradients of leaves, but
// not of private ones: those that only this graph used when it was compiled.
struct Replay {
    Replay *next_held;   // a list: tape->held, those that hold numbers
    enum { HOLDS_NOTHING, HOLDS_DATA, HOLDS_GRADIENTS } holds;
    Index leaves;        // slots 1 .. leaves are leaves,
    Index privates;      // up to here private ones,
    Index slots;         // and up to here inner nodes
    char *block;         // the memory of all arrays by slot, of spans and of terms
    Index *nodes;        // by slot
    Span *spans;         // of the leaves that are not private
    Index nspans;
    double *data;        // by slot: of the last forward pass
    double *spare;       // by slot: the next forward pass writes here, then swaps both
    double *grad;        // by slot: of the last backward pass
    double *before;      // the private leaves' gradients, to restore them if backward fails
    Program forward, backward;
    Term *terms;         // of all dots
    Index nterms;
    Index *outputs;      // slots; the first one is the root of the backward pass
    Index noutputs;
    Switch *switches;    // by choice
    Index nswitches;
};

// compile.c. All that is below the outputs is compiled; backward goes from the first output. NULL:
// there is no memory, one of the nodes is in another replay or has a backward function of its
// owner's, or a choice changes the order of backward in a way that compile_choices.c does not know.
Replay *replay_new(Tape *tape, const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices);
void replay_unmark(Tape *tape, const Replay *replay);  // before replay_free, if a node is in use that it computes
void replay_free(Replay *replay);
void compiler_free(Tape *tape);  // the memory that it works in

// replay.c. Both passes return 0; or -1, and leave everything as it was: the pass over the nodes finds
// out what failed. Backward needs what the last forward pass has left: it returns -1, too, if backward
// or replay_settle has been called since, or if a number that it reads has been set since.
int replay_forward(Tape *tape, Replay *replay);
int replay_backward(Tape *tape, Replay *replay);
void replay_choose(Replay *replay, size_t choice, Index item);  // from now on the choice takes this item
void replay_settle(Tape *tape, Replay *replay);  // write the numbers that it holds to its nodes
int replay_has(const Replay *replay, Index i);   // does it compute or read node i?
int replay_is_alive(const Tape *tape, const Replay *replay);  // is a node in use that it computes?

#endif

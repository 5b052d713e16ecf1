// What the files of the compiler share. compile.c tells how they fit together; nothing outside of
// compile*.c includes this.
//
// Three numbers stand for a value, one after the other:
//
//     node    where it is on the tape
//     place   its position in the walk over the graph, from 1, operands before their users; the
//             products and sums inside a dot have none
//     slot    where its data and gradient are in the replay

#ifndef MICROGRAD_COMPILE_H
#define MICROGRAD_COMPILE_H

#include "replay.h"

// -----------------------------------------------------------------------------
// what the walk notes of nodes

typedef struct Mark {
    Index place;     // 0: the walk has not come to this node
    Index user;      // the last user that the walk has come from
} Mark;

typedef struct Note {
    Index choice;    // of an OP_TAKE, from 1; 0: it always copies the same node
    Index column;    // and which of the choice's takes it is
    Index is_no_dot; // a sum that must not be part of a dot
} Note;

static const Index UNDER_WAY = (Index)-1;  // a place: the walk is below that node

// where the walk is: its stack
typedef struct Step {
    Index node;
    Index next;      // item of a take, or term of a dot, from 1; 0: the start
    Index terms, first, start, since;  // if a dot ends here: as in Place
} Step;

// -----------------------------------------------------------------------------
// what is known of each place

// kinds of instructions: those below OP_FREE are an Op
enum {
    PLAIN = OP_FREE,  // a dot without products: start + x0 + x1 + ...
    PRODUCTS,         // and one with products: start + w0*x0 + w1*x1 + ...
    KINDS
};

// an instruction or a leaf
typedef struct Place {
    Index node;
    Index kind;
    Index a, b;      // its operands: nodes, and places from compiler_find_uses on; of a dot the start
    Index terms;     // of a dot, how many: 0 of anything else;
    Index first;     // where they begin among the links,
    Index since;     // and how many places there were before its operands
    Index phase;     // of the forward pass: see compile_tasks.c
    Index level;     // from the end of the phase at first, then from the start of the pass
    uint8_t is_ordered;   // it stands in the order for the forward pass
    uint8_t has_leaves;   // a dot whose weights are all leaves
} Place;

// A term of a dot. The factors are nodes, and places from compiler_find_uses on.
typedef struct Link {
    Index sum;       // the nodes that compute it
    Index product;   // 0: x alone is added
    Index w, x;
} Link;

// who uses what is in a place
typedef struct Uses {
    Index operands;  // how many times it is an operand
    Index adders;    // and how many times of an instruction that adds to its gradient
    Index user;      // the last one of those
} Uses;

// the last instruction of backward, so far, that adds to the gradient of a place
typedef struct Adder {
    uint64_t when;   // see compile_tasks.c
    Index kind;
} Adder;

// the last two users of a place that a scan over the places has found: see compile_choices.c
typedef struct Seen {
    Index scan;      // which scan it was; older ones do not count
    Index last, before;
} Seen;

// -----------------------------------------------------------------------------
// what is compiled

// An instruction of one pass. Those with the same level and kind make a batch.
typedef struct Task {
    Index phase, level, kind;
    Index place;
} Task;

static const Index NOWHERE = (Index)-1;  // not in the program

struct Compiler {
    Tape *tape;
    const Node *nodes;
    const Choice *choices;
    size_t nchoices;
    Replay *replay;

    // the walk
    int is_forward;         // it looks for an order for the forward pass
    unsigned flags;         // of all nodes together
    int has_failed;         // there is no memory
    int has_broken;         // a sum that was taken for a dot is none
    int has_notes;          // has_broken was set in this walk or an earlier one
    int is_without_dots;

    // by node; all zero between compilations
    Mark *marks;
    Note *notes;
    Index nodes_room;

    // lists that grow
    Place *places;          // 1 .. n; places[0] stands for operands that are not there
    Link *links;            // of all dots, term by term
    Step *steps;
    Index *forward;         // places, in an order for the forward pass
    Index n, nlinks, nsteps, nforward;
    Index room, links_room, steps_room, forward_room;
    Index m;                // the backward pass goes over places 1 .. m

    // by place; in one block
    char *block;
    size_t block_size;
    Uses *uses;
    Adder *adders;
    Index *slots;
    Seen *seen;
    Index scans;
    Task *tasks, *spare;    // of one pass; and room for as many
    Index *counts;          // room for a number for each phase, level or kind
    Index *where;           // in the program made last: its instruction or dot
};

// compile_walk.c: find the places and the dots, 0 if it cannot be compiled; then what uses what, and from
// there on operands are places
int compiler_walk(Compiler *compiler, const Index *outputs, size_t n);
void compiler_find_uses(const Compiler *compiler);
void compiler_clear_marks(Compiler *compiler);

// compile_tasks.c: fill compiler->tasks with the instructions of a pass, sorted; how many there are
Index compiler_forward_tasks(Compiler *compiler);
Index compiler_backward_tasks(Compiler *compiler);

// compile_programs.c: make batches of n tasks, 0 without memory; and grids of the batches
void compiler_make_terms(const Compiler *compiler);
int compiler_make_program(Compiler *compiler, Program *program, Index n);
void compiler_make_grids(const Replay *replay, Program *program, int is_backward);

// compile_choices.c: what choices change in the programs; 0 if that is not known. `forward` is what
// `where` was for the forward program
int compiler_takes_are_used_once(const Compiler *compiler);
int compiler_make_switches(Compiler *compiler, const Index *forward);

// -----------------------------------------------------------------------------
// helpers

// of a node, after the walk
static inline Index place_of(const Compiler *compiler, Index i) {
    return compiler->marks[i].place;
}

static inline Index slot_of(const Compiler *compiler, Index i) {
    return compiler->slots[place_of(compiler, i)];
}

// does it pass its gradient on to its operands?
static inline int passes_on(Index kind) {
    return kind >= OP_ADD;
}

// two runs of slots without a common one: n from a on, and m from b on
static inline int is_apart(Index a, Index n, Index b, Index m) {
    return a + n <= b || b + m <= a;
}

// of a take: the items it may copy, each `stride` after the one before; NULL: it is of no choice
static inline const Index *items_of(const Compiler *compiler, Index take, Index *n, Index *stride) {
    const Note *note = &compiler->notes[take];
    if (compiler->nodes[take].op != OP_TAKE || !note->choice) return NULL;
    const Choice *choice = &compiler->choices[note->choice - 1];
    *n = choice->n;
    *stride = choice->width;
    return choice->items + note->column;
}

// the take of a choice among inner nodes
static inline int is_inner_take(const Compiler *compiler, Index place) {
    Index n = 0, stride = 0;
    if (compiler->places[place].kind != OP_TAKE) return 0;
    const Index *items = items_of(compiler, compiler->places[place].node, &n, &stride);
    return items && n > 1 && compiler->nodes[*items].op != OP_LEAF;
}

typedef void Visit(const Compiler *compiler, Task *task, Index operand);

// Call `visit` with the place of each operand of an instruction: of a take all that it may copy; of a
// dot not the weights if all of them are leaves, unless with_leaves.
static inline void visit_operands(const Compiler *compiler, Task *task, int with_leaves, Visit *visit) {
    const Place *place = &compiler->places[task->place];
    Index n = 0, stride = 0;
    const Index *items = place->kind == OP_TAKE ? items_of(compiler, place->node, &n, &stride) : NULL;
    const Link *links = compiler->links + place->first;
    for (Index k = 0; k < n; k++) visit(compiler, task, place_of(compiler, items[k * stride]));
    if (place->kind == PRODUCTS && (with_leaves || !place->has_leaves)) {
        for (Index k = 0; k < place->terms; k++) visit(compiler, task, links[k].w);
    }
    for (Index k = 0; k < place->terms; k++) visit(compiler, task, links[k].x);
    if (!items) visit(compiler, task, place->a);
    if (!items && place->b) visit(compiler, task, place->b);
}

#endif

// Compiles a recording into the two programs of a replay.
//
// What makes them fast is that the same operation on many numbers is one loop. So instructions
// change places, but never so that a number changes: forward may compute in any order that has
// operands before their users; backward has to add to each gradient in the order in which the
// pass over the nodes does, for sums of floats depend on it.
//
//     1. walk over the graph, and find the dots (replay.h), the sums that make up most of a network
//     2. give each number a slot: what is read together stands side by side
//     3. give each instruction a level: it depends on instructions of lower levels only
//     4. sort by level, then by operation, and make a batch of what is alike
//     5. find out what a choice of another item changes in the programs
//     6. make one batch, a grid, of what the same matrix does to many vectors

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"

// what the walk notes of every node
typedef struct Mark {
    Index place;     // among the instructions and leaves, from 1; 0: the walk has not come to it
    Index user;      // the last one that the walk has seen
} Mark;

// and of few of them
typedef struct Note {
    Index choice;    // of an OP_TAKE, from 1; 0: it copies always the same
    Index column;    // and which of the choice's takes it is
    Index is_no_dot; // a sum that is in no dot
} Note;

static const Index UNDER_WAY = (Index)-1;  // a place: the walk is below that node

enum { PLAIN = OP_FREE, PRODUCTS, KINDS };  // kinds of sums, after those of other operations

// and of every instruction and leaf: their places are the order of the walk, operands first
typedef struct Place {
    Index node;
    Index kind;      // the operation, or what kind of a dot
    Index a, b;      // its operands: nodes, and places once the walk is over; of a dot the start
    Index terms;     // of a dot,
    Index first;     // where they begin,
    Index since;     // and how many places there were when the walk came to it
    Index phase;     // of forward,
    Index level;     // and the level, of the phase first, from its end; in the walk, whether it is in order
    int has_leaves;  // a dot whose weights are all leaves,
    int is_next_row; // or that has the inputs of the dot before it in the forward pass
} Place;

// who uses what is in a place
typedef struct Uses {
    Index operands;  // how many operands it is,
    Index adders;    // and of how many instructions that pass a gradient on to it,
    Index user;      // and the last one of those
} Uses;

// the last instruction of backward that adds to its gradient
typedef struct Adder {
    uint64_t when;   // its phase and level
    Index kind;
} Adder;

// The users of a leaf: the last two that the present look at places in order has come to (see are_alone).
typedef struct Seen {
    Index look;
    Index last, before;
} Seen;

// an instruction: those of one level and kind make a batch
typedef struct Task {
    Index phase, level, kind;
    Index place;
} Task;

// a dot among those of its level, by what it is sorted
typedef struct Row {
    uint64_t inputs;   // how many terms, and the first input
    uint64_t weights;  // the first weight, and the place
} Row;

static const Index NOWHERE = (Index)-1;

// a term of a sum: its nodes; and once the walk is over the places of the factors
typedef struct Link {
    Index sum;
    Index product;   // 0: x alone is added
    Index w, x;
} Link;

// where a walk is
typedef struct Step {
    Index node;
    Index next;      // of a take its item; of a dot its term, from 1, or 0: its start
    Index terms, first, start, since;  // if it ends a dot
} Step;

// What a compilation works in is kept with the tape for the next one: memory that is taken from the
// system anew costs about as much time as what is written there.
enum { MOST_KEPT = 1 << 24 };  // bytes

struct Compiler {
    Tape *tape;
    const Node *nodes;
    const Choice *choices;
    size_t nchoices;
    Replay *replay;
    int is_forward;         // the kind of walk
    unsigned flags;         // of all nodes
    int has_failed;         // there is no memory
    int has_broken;         // something that was taken for a dot is none
    int has_notes;          // and has been, before
    int is_without_dots;

    // by node; all zero between compilations
    Mark *marks;
    Note *notes;
    Index nodes_room;

    // lists that grow
    Place *places;          // in the order of the walk: operands before their users
    Link *links;            // of all dots, term by term
    Step *steps;            // the walk
    Index *forward;         // places, in an order for the forward pass
    Index n, nlinks, nsteps, nforward;
    Index room, links_room, steps_room, forward_room;
    Index m;                // so many places are of the backward pass

    // by place; in one block
    char *block;
    size_t block_size;
    Uses *uses;
    Adder *adders;
    Index *slots;
    Seen *seen;
    Index looks;
    Task *tasks, *spare;    // and room for as many
    Index *counts;          // room for a number for each phase, level and kind
    Index *where;           // of the program made last, the instruction or dot
};

// room for one more; without memory what there was, and has_failed
static inline void *grown(Compiler *compiler, void *memory, Index n, Index *room, size_t size) {
    if (n < *room) return memory;
    Index more = *room ? 2 * *room : 1024;
    void *larger = realloc(memory, more * size);
    if (!larger) {
        compiler->has_failed = 1;
        return memory;
    }
    *room = more;
    return larger;
}

// of a node, after the walk
static Index place_of(const Compiler *compiler, Index i) {
    return compiler->marks[i].place;
}

static Index slot_of(const Compiler *compiler, Index i) {
    return compiler->slots[place_of(compiler, i)];
}

// does it pass its gradient on to its operands?
static int passes_on(Index kind) {
    return kind >= OP_ADD;
}

// -----------------------------------------------------------------------------
// dots

// nothing but the next operation uses it
static inline int is_temporary(const Node *node, Op op) {
    return (node->op == op) & (node->refs == 1) & !(node->flags & NODE_WATCHED);
}

// sum = before + product, or before + x, or product + number as sums in Python begin
static inline Link link_of(const Compiler *compiler, Index sum, Index *before) {
    const Node *nodes = compiler->nodes;
    Index a = nodes[sum].a, b = nodes[sum].b, product = 0;
    if (is_temporary(&nodes[b], OP_MUL)) product = b;
    else if (is_temporary(&nodes[a], OP_MUL) && nodes[b].op == OP_LEAF) product = a;
    *before = product && product != b ? b : a;
    if (!product) return (Link){.sum = sum, .x = b};
    return (Link){sum, product, nodes[product].a, nodes[product].b};
}

// the weights are leaves, if the factors on one side are
static void turn_factors(const Compiler *compiler, Link *links, Index n) {
    if (compiler->nodes[links->w].op == OP_LEAF || compiler->nodes[links->x].op != OP_LEAF) return;
    for (Index t = 0; t < n; t++) {
        Index w = links[t].w;
        links[t].w = links[t].x;
        links[t].x = w;
    }
}

// The terms of the dot that ends with this sum, first to last: all products, or none. There are 0 of
// them if it is an addition like others.
static void find_terms(Compiler *compiler, Step *step) {
    const Node *nodes = compiler->nodes;
    Index sum = step->node, first = compiler->nlinks, before;
    unsigned flags = 0;
    step->first = first;
    if (nodes[sum].op != OP_ADD || compiler->notes[sum].is_no_dot || compiler->is_without_dots) return;
    Link link = link_of(compiler, sum, &before);
    int is_plain = !link.product;
    for (;;) {
        compiler->links = grown(compiler, compiler->links, compiler->nlinks, &compiler->links_room, sizeof link);
        if (compiler->has_failed) {
            compiler->nlinks = first;
            step->terms = 0;
            return;
        }
        compiler->links[compiler->nlinks++] = link;
        flags |= nodes[link.product].flags | nodes[link.sum].flags;
        step->start = before;
        if (!is_temporary(&nodes[before], OP_ADD)) break;
        link = link_of(compiler, before, &before);
        if ((link.product == 0) != is_plain) break;
    }
    step->terms = compiler->nlinks - first;
    if (is_plain && step->terms == 1) {
        compiler->nlinks = first;
        step->terms = 0;
        return;
    }
    compiler->flags |= flags;
    if (!is_plain) turn_factors(compiler, compiler->links + first, step->terms);
    for (Link *low = compiler->links + first, *high = low + step->terms - 1; low < high; low++, high--) {
        Link swapped = *low;
        *low = *high;
        *high = swapped;
    }
}

// -----------------------------------------------------------------------------
// the walk

// of a take: the items it may copy, each `stride` behind the one before; NULL: it is no choice
static const Index *items_of(const Compiler *compiler, Index take, Index *n, Index *stride) {
    const Note *note = &compiler->notes[take];
    if (compiler->nodes[take].op != OP_TAKE || !note->choice) return NULL;
    const Choice *choice = &compiler->choices[note->choice - 1];
    *n = choice->n;
    *stride = choice->width;
    return choice->items + note->column;
}

static inline int is_seen(const Compiler *compiler, Index i) {
    Index place = compiler->marks[i].place;
    if (!compiler->is_forward || !place || place == UNDER_WAY) return place != 0;
    return compiler->places[place].level != 0;
}

// the next place; NULL without memory
static inline Place *put_place(Compiler *compiler, Index node, Index kind) {
    compiler->places = grown(compiler, compiler->places, compiler->n + 1, &compiler->room, sizeof(Place));
    if (compiler->has_failed) return NULL;
    compiler->marks[node].place = ++compiler->n;
    compiler->places[compiler->n] = (Place){.node = node, .kind = kind};
    return &compiler->places[compiler->n];
}

static inline void put_leaf(Compiler *compiler, Index i) {
    Place *place = put_place(compiler, i, OP_LEAF);
    compiler->flags |= compiler->nodes[i].flags;
    if (place) place->level = 1;  // the forward pass does nothing there
}

static void come_to(Compiler *compiler, Index i) {
    Mark *mark = &compiler->marks[i];
    Step step = {.node = i, .since = compiler->n};
    if (compiler->nodes[i].op == OP_LEAF) {
        put_leaf(compiler, i);
        return;
    }
    compiler->flags |= compiler->nodes[i].flags;
    compiler->steps = grown(compiler, compiler->steps, compiler->nsteps, &compiler->steps_room, sizeof step);
    if (mark->place) {  // in forward again
        const Place *place = &compiler->places[mark->place];
        step.terms = place->terms;
        step.first = place->first;
        step.start = place->a;
    } else {
        mark->place = UNDER_WAY;
        find_terms(compiler, &step);
    }
    if (!compiler->has_failed) compiler->steps[compiler->nsteps++] = step;
}

// A dot's gradient goes on to all its factors at its end's turn, in backward earlier than each
// product's turn. So the walk must not come to another user of a factor in between.
static void break_dot(Compiler *compiler, Index sum) {
    const Step *step = compiler->steps + compiler->nsteps;
    if (compiler->notes[sum].is_no_dot) return;  // known already
    while ((--step)->node != sum) continue;
    for (Index t = 0; t < step->terms; t++) compiler->notes[compiler->links[step->first + t].sum].is_no_dot = 1;
    compiler->has_broken |= step->terms > 0;
    compiler->has_notes |= step->terms > 0;
}

static inline void check_user(Compiler *compiler, Index before, Index user) {
    if (before && before != user && compiler->marks[before].place == UNDER_WAY) break_dot(compiler, before);
}

static inline void note_user(Compiler *compiler, Index i, Index user) {
    Index before = compiler->marks[i].user;
    compiler->marks[i].user = user;
    if (i) check_user(compiler, before, user);
}

// The operands of a dot: the start, then the factors of each product, or what is added, in the
// order of the pass over the nodes. (Where a sum begins as product + number the number is a leaf,
// whose turn does not matter.) Returns the first one that the walk has not seen, 0 after the last.
static Index next_in_dot(Compiler *compiler, Step *step) {
    const Link *links = compiler->links + step->first;
    Mark *marks = compiler->marks;
    Index terms = step->terms, user = step->node, before_w = 0, before_x = 0;
    int is_plain = !links->product, is_forward = compiler->is_forward;
    if (step->next == 0) {
        if (!is_seen(compiler, step->start)) return step->start;
        step->next = 1;
    }
    for (Index t = step->next - 1; t < terms; t++) {
        Index x = links[t].x, w = is_plain ? x : links[t].w;
        if (is_forward ? !is_seen(compiler, w) || !is_seen(compiler, x) : !marks[w].place || !marks[x].place) {
            Index first = is_plain ? x : compiler->nodes[links[t].product].a;
            Index unseen = !is_seen(compiler, first) ? first : first == w ? x : w;
            if (compiler->nodes[unseen].op != OP_LEAF) {
                step->next = t + 1;
                return unseen;
            }
            put_leaf(compiler, unseen);
            if (compiler->has_failed) return 0;
            t--;  // once more
            continue;
        }
        if (is_forward) continue;
        // neighbours have had the same user before, as a rule
        if (marks[w].user != before_w) check_user(compiler, marks[w].user, user);
        before_w = marks[w].user;
        marks[w].user = user;
        if (marks[x].user != before_x) check_user(compiler, marks[x].user, user);
        before_x = marks[x].user;
        marks[x].user = user;
        if (t == 0) note_user(compiler, step->start, user);
    }
    return 0;
}

// the same for other instructions; for the forward pass a take has all its items as operands, and
// below a shift there is something
static Index next_operand(Compiler *compiler, Step *step) {
    const Node *node = &compiler->nodes[step->node];
    Index n = 0, stride = 0;
    const Index *items = compiler->is_forward ? items_of(compiler, step->node, &n, &stride) : NULL;
    if (!compiler->is_forward && !passes_on(node->op)) return 0;
    for (; items && step->next < n; step->next++) {
        if (!is_seen(compiler, items[step->next * stride])) return items[step->next * stride];
    }
    if (!items && !is_seen(compiler, node->a)) return node->a;
    if (!items && node->b && !is_seen(compiler, node->b)) return node->b;
    return 0;
}

static void note_operands(Compiler *compiler, Index i) {
    const Node *node = &compiler->nodes[i];
    Index n = 0, stride = 0;
    const Index *items = items_of(compiler, i, &n, &stride);
    if (!passes_on(node->op)) return;
    for (Index k = 0; items && k < n; k++) note_user(compiler, items[k * stride], i);
    note_user(compiler, node->a, i);
    note_user(compiler, node->b, i);
}

static void put_in_order(Compiler *compiler, Index place) {
    if (compiler->places[place].level) return;
    compiler->places[place].level = 1;
    compiler->forward = grown(compiler, compiler->forward, compiler->nforward, &compiler->forward_room, sizeof(Index));
    if (!compiler->has_failed) compiler->forward[compiler->nforward++] = place;
}

static void leave(Compiler *compiler, const Step *step) {
    Index kind = compiler->nodes[step->node].op;
    if (step->terms) kind = compiler->links[step->first].product ? PRODUCTS : PLAIN;
    if (compiler->marks[step->node].place == UNDER_WAY) {
        Place *place = put_place(compiler, step->node, kind);
        if (!place) return;
        place->a = step->start;
        place->terms = step->terms;
        place->first = step->first;
        place->since = step->since;
        if (!compiler->is_forward && !step->terms) note_operands(compiler, step->node);
    }
    if (compiler->is_forward) put_in_order(compiler, compiler->marks[step->node].place);
}

// as the walk over the nodes in tape.c, but a dot is one step
static void walk(Compiler *compiler, Index root) {
    if (is_seen(compiler, root)) return;
    come_to(compiler, root);
    while (compiler->nsteps && !compiler->has_failed) {
        Step *step = &compiler->steps[compiler->nsteps - 1];
        Index i = step->terms ? next_in_dot(compiler, step) : next_operand(compiler, step);
        if (i) {
            come_to(compiler, i);
        } else {
            leave(compiler, step);
            compiler->nsteps--;
        }
    }
}

// as if the walk had not been, notes excepted
static void forget_walk(Compiler *compiler) {
    Mark none = {0};
    for (Index k = 1; k <= compiler->n; k++) compiler->marks[compiler->places[k].node] = none;
    compiler->marks[0] = none;
    compiler->n = compiler->nlinks = 0;
    compiler->has_broken = 0;
}

static void clear_marks(Compiler *compiler) {
    Note none = {0};
    if (compiler->has_failed || compiler->has_notes) {  // there may be some that no place tells of
        Index nodes = compiler->nodes_room;
        memset(compiler->marks, 0, nodes * sizeof(Mark));
        memset(compiler->notes, 0, nodes * sizeof(Note));
        return;
    }
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) compiler->notes[choice->takes[j]] = none;
    }
    forget_walk(compiler);
}

// An order for the forward pass: that of the places, but for shifts, and takes that may copy other
// items. What is below those comes before them, with all that it is computed from.
static int walk_forward(Compiler *compiler, const Index *outputs, size_t n) {
    compiler->is_forward = 1;
    for (Index k = 1; k <= compiler->m; k++) {
        Index kind = compiler->places[k].kind;
        if (kind == OP_SHIFT || kind == OP_TAKE) walk(compiler, compiler->places[k].node);
        else put_in_order(compiler, k);
    }
    for (size_t k = 0; k < n; k++) walk(compiler, outputs[k]);
    for (size_t c = 0; c < compiler->nchoices; c++) {  // no output may be above the takes
        const Choice *choice = &compiler->choices[c];
        for (size_t k = 0; k < (size_t)choice->n * choice->width; k++) walk(compiler, choice->items[k]);
    }
    return !compiler->has_failed;
}

// from here on operands are places
static void find_places(Compiler *compiler) {
    const Mark *marks = compiler->marks;
    for (Index k = 0; k < compiler->nlinks; k++) {
        Link *link = &compiler->links[k];
        link->w = marks[link->w].place;
        link->x = marks[link->x].place;
    }
    for (Index k = 1; k <= compiler->n; k++) {
        Place *place = &compiler->places[k];
        const Node *node = &compiler->nodes[place->node];
        if (place->kind == OP_LEAF) continue;  // the operand of a leaf is AdamW's
        place->a = marks[place->terms ? place->a : node->a].place;
        place->b = place->terms ? 0 : marks[node->b].place;
    }
}

// Find the places and the dots. Where something is no dot, walk again without it.
static int walk_all(Compiler *compiler, const Index *outputs, size_t n) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            compiler->notes[choice->takes[j]].choice = (Index)c + 1;
            compiler->notes[choice->takes[j]].column = j;
        }
    }
    compiler->places = grown(compiler, compiler->places, 0, &compiler->room, sizeof(Place));
    if (compiler->has_failed) return 0;
    compiler->places[0] = (Place){0};  // of operands that are not there
    for (int again = 0; again == 0 || compiler->has_broken; again++) {
        if (again > 0) forget_walk(compiler);
        compiler->is_without_dots = again == 3;
        walk(compiler, outputs[0]);
        if (compiler->has_failed) return 0;
    }
    compiler->m = compiler->n;
    if (!walk_forward(compiler, outputs, n)) return 0;
    if (compiler->flags & (NODE_REPLAYED | NODE_FUNCTION | NODE_USER)) return 0;
    for (Index k = 1; k <= compiler->n; k++) {  // another recording's choice would not reach this program
        const Node *node = &compiler->nodes[compiler->places[k].node];
        if (node->op == OP_TAKE && node->flags & NODE_CHOICE && !compiler->notes[compiler->places[k].node].choice) return 0;
    }
    find_places(compiler);
    return 1;
}

static inline void count_operand(const Compiler *compiler, Index operand, Index user, int is_adder) {
    Uses *uses = &compiler->uses[operand];
    uses->operands++;
    uses->adders += (Index)is_adder;
    if (is_adder) uses->user = user;
}

static void count_uses(const Compiler *compiler) {
    for (Index k = 1; k <= compiler->n; k++) {
        Place *place = &compiler->places[k];
        const Place *places = compiler->places;
        const Link *links = compiler->links + place->first;
        int is_adder = k <= compiler->m && passes_on(place->kind), has_leaves = 1;
        if (place->kind == OP_LEAF) continue;
        for (Index t = 0; t < place->terms; t++) {
            count_operand(compiler, links[t].w, k, is_adder);
            count_operand(compiler, links[t].x, k, is_adder);
            has_leaves &= places[links[t].w].kind == OP_LEAF;
        }
        place->has_leaves = has_leaves;
        count_operand(compiler, place->a, k, is_adder);
        count_operand(compiler, place->b, k, is_adder);
    }
}

// -----------------------------------------------------------------------------
// slots

static inline void put_slot(Compiler *compiler, Index place) {
    Replay *replay = compiler->replay;
    if (compiler->slots[place]) return;
    compiler->slots[place] = ++replay->slots;
    replay->nodes[replay->slots] = compiler->places[place].node;
}

// only nodes of this graph use it: others see what the replay holds after it is settled
static inline int is_private(const Compiler *compiler, Index place) {
    const Node *node = &compiler->nodes[compiler->places[place].node];
    int has_moments = node->op == OP_LEAF && node->a;  // an optimiser has it, whose numbers are always in place
    return node->refs == compiler->uses[place].operands && !(node->flags & NODE_WATCHED) && !has_moments;
}

static inline void number_leaf(Compiler *compiler, Index place, int privates) {
    if (!place || compiler->slots[place] || compiler->places[place].kind != OP_LEAF) return;
    if (privates || !is_private(compiler, place)) put_slot(compiler, place);  // first the others, then all that are left
}

// has it a slot, or will it get one as an instruction?
static int is_numbered(const Compiler *compiler, Index place) {
    return compiler->slots[place] || compiler->places[place].kind != OP_LEAF;
}

// The factors of a dot. (The look at the ends spares that at all of them for rows that are used
// again; should one in between have no slot, it gets one with the others.)
static void number_factors(Compiler *compiler, const Place *place, int privates) {
    const Link *links = compiler->links + place->first;
    Index n = place->terms;
    if (n == 0) return;
    if (!is_numbered(compiler, links[0].w) || !is_numbered(compiler, links[n - 1].w)) {
        for (Index t = 0; t < n; t++) number_leaf(compiler, links[t].w, privates);
    }
    if (!is_numbered(compiler, links[0].x) || !is_numbered(compiler, links[n - 1].x)) {
        for (Index t = 0; t < n; t++) number_leaf(compiler, links[t].x, privates);
    }
}

// The rows of choices side by side, and the factors of a dot; then other leaves in the order in
// which they are used.
static void number_shared(Compiler *compiler) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        size_t items = (size_t)choice->n * choice->width;
        for (size_t k = 0; k < items; k++) number_leaf(compiler, place_of(compiler, choice->items[k]), 0);
    }
    for (Index k = 1; k <= compiler->n; k++) number_factors(compiler, &compiler->places[k], 0);
    for (Index k = 1; k <= compiler->n; k++) number_leaf(compiler, k, 0);
    compiler->replay->leaves = compiler->replay->slots;
}

// what a batch reads one after the other stands side by side
static void number_private(Compiler *compiler, Index ntasks) {
    for (Index k = 0; k < ntasks; k++) {
        const Place *place = &compiler->places[compiler->tasks[k].place];
        number_factors(compiler, place, 1);
        if (!place->terms) number_leaf(compiler, place->a, 1);
        if (!place->terms) number_leaf(compiler, place->b, 1);
    }
    for (Index k = 0; k < ntasks; k++) {
        const Place *place = &compiler->places[compiler->tasks[k].place];
        if (place->terms) number_leaf(compiler, place->a, 1);
    }
    for (Index k = 1; k <= compiler->n; k++) number_leaf(compiler, k, 1);
    compiler->replay->privates = compiler->replay->slots;
}

static void find_spans(Replay *replay) {
    for (Index slot = 1; slot <= replay->leaves; slot++) {
        Span *span = replay->spans + replay->nspans;
        if (replay->nspans && replay->nodes[slot] == span[-1].node + span[-1].n) {
            span[-1].n++;
        } else {
            *span = (Span){.node = replay->nodes[slot], .slot = slot, .n = 1};
            replay->nspans++;
        }
    }
}

// -----------------------------------------------------------------------------
// tasks

// Levels come in phases. The dots of a phase come last, and together: so what the same matrix does to
// many vectors stays together, where some of them took more steps than others before.
//
// Here the levels of phases, from 1, become those of all. They count from the beginning of the
// phase, or from its end if is_late. Of the dots they do not count.
static void join_phases(Compiler *compiler, Task *tasks, Index n, int is_late) {
    Index *dots = compiler->counts, phases = 0, start = 0;  // by phase: how many levels, and then the last one
    for (Index k = 0; k < n; k++) phases = tasks[k].phase < phases ? phases : tasks[k].phase + 1;
    memset(dots, 0, phases * sizeof *dots);
    for (Index k = 0; k < n; k++) {
        Index *most = &dots[tasks[k].phase];
        if (tasks[k].kind != PRODUCTS && tasks[k].level > *most) *most = tasks[k].level;
    }
    for (Index i = 0; i < phases; i++) {
        dots[i] += start;
        start = dots[i] + 1;
    }
    for (Index k = 0; k < n; k++) {
        Index phase = tasks[k].phase;
        if (tasks[k].kind == PRODUCTS) tasks[k].level = dots[phase];
        else if (is_late) tasks[k].level = dots[phase] - tasks[k].level;
        else tasks[k].level += phase ? dots[phase - 1] : (Index)-1;
    }
}

// sort by level, or by kind: what has the same keeps its order
static void sort_by(const Task *tasks, Task *sorted, Index n, int by_level, Index *counts, Index most) {
    memset(counts, 0, ((size_t)most + 2) * sizeof *counts);
    for (Index k = 0; k < n; k++) counts[(by_level ? tasks[k].level : tasks[k].kind) + 1]++;
    for (Index i = 1; i <= most; i++) counts[i] += counts[i - 1];
    for (Index k = 0; k < n; k++) sorted[counts[by_level ? tasks[k].level : tasks[k].kind]++] = tasks[k];
}

static void sort_tasks(Compiler *compiler, Index n) {
    Index levels = 0;
    for (Index k = 0; k < n; k++) {
        if (compiler->tasks[k].level > levels) levels = compiler->tasks[k].level;
    }
    sort_by(compiler->tasks, compiler->spare, n, 0, compiler->counts, KINDS);
    sort_by(compiler->spare, compiler->tasks, n, 1, compiler->counts, levels);
}

typedef void Visit(const Compiler *compiler, Task *task, Index operand);

// Do something with each operand of an instruction, but not with a dot's weights if they are leaves
// and those may be left out, nor with its inputs if they have been visited.
static inline void visit_operands(const Compiler *compiler, Task *task, int with_leaves, int with_inputs, Visit *visit) {
    const Place *place = &compiler->places[task->place];
    Index n = 0, stride = 0;
    const Index *items = place->kind == OP_TAKE ? items_of(compiler, place->node, &n, &stride) : NULL;
    const Link *links = compiler->links + place->first;
    for (Index k = 0; k < n; k++) visit(compiler, task, place_of(compiler, items[k * stride]));
    if (place->kind == PRODUCTS && (with_leaves || !place->has_leaves)) {
        for (Index k = 0; k < place->terms; k++) visit(compiler, task, links[k].w);
    }
    for (Index k = 0; k < place->terms && with_inputs; k++) visit(compiler, task, links[k].x);
    if (!items) visit(compiler, task, place->a);
    if (!items && place->b) visit(compiler, task, place->b);
}

static inline void rise_above(const Compiler *compiler, Task *task, Index operand) {
    const Place *place = &compiler->places[operand];
    Index phase = place->phase + (place->kind == PRODUCTS);
    if (task->phase < phase) task->phase = phase;
}

static inline void come_before(const Compiler *compiler, Task *task, Index operand) {
    Place *place = &compiler->places[operand];
    if (place->phase == task->phase && place->level <= task->level) place->level = task->level + 1;
}

// The dot that was visited last, in a walk over the instructions. The rows of a matrix have the same
// inputs: what a visit to those finds out, and what it notes, is the same for the next row.
typedef struct Last {
    Index place;     // 0: the last one was no dot
    Index phase;     // what its inputs say
} Last;

static inline int has_same_inputs(const Compiler *compiler, const Place *place, Index other) {
    const Place *last = &compiler->places[other];
    const Link *links = compiler->links + place->first, *others = compiler->links + last->first;
    if (place->kind != PRODUCTS || last->kind != PRODUCTS || place->terms != last->terms) return 0;
    for (Index t = 0; t < place->terms; t++) {
        if (links[t].x != others[t].x) return 0;
    }
    return 1;
}

static inline void put_forward(const Compiler *compiler, Index k, Task *task, Last *last) {
    Place *place = &compiler->places[k];
    int is_next = place->is_next_row = has_same_inputs(compiler, place, last->place);
    *task = (Task){.kind = place->kind, .place = k, .phase = is_next ? last->phase : 0};
    for (Index t = 0; t < place->terms && !is_next; t++) rise_above(compiler, task, compiler->links[place->first + t].x);
    if (place->terms) *last = (Last){k, task->phase};
    visit_operands(compiler, task, 0, 0, rise_above);
    place->phase = task->phase;
    place->level = place->kind != PRODUCTS;
}

static int compare_rows(const void *first, const void *second) {
    const Row *a = first, *b = second;
    if (a->inputs != b->inputs) return a->inputs < b->inputs ? -1 : 1;
    return a->weights < b->weights ? -1 : 1;
}

// Rows of one length together; of these, rows with the same inputs; and those in the order of their
// weights.
static void sort_rows(const Compiler *compiler, Task *tasks, Index n) {
    Row *rows = (Row *)(void *)compiler->spare;  // as large, and there is nothing in it now
    int descents = 0;
    for (Index k = 0; k < n; k++) {
        const Place *place = &compiler->places[tasks[k].place];
        const Link *first = &compiler->links[place->first];
        rows[k] = (Row){(uint64_t)place->terms << 32 | first->x, (uint64_t)first->w << 32 | tasks[k].place};
        descents |= k > 0 && compare_rows(&rows[k - 1], &rows[k]) > 0;
    }
    if (descents) qsort(rows, n, sizeof(Row), compare_rows);
    for (Index k = 0; k < n && descents; k++) tasks[k].place = (Index)rows[k].weights;
}

static Index forward_tasks(Compiler *compiler) {
    const Compiler here = *compiler;  // which no store below can change, as far as a C compiler knows
    const Place *after = here.places;
    Last last = {0};
    Index n = 0;
    for (; n < here.nforward; n++) put_forward(&here, here.forward[n], &here.tasks[n], &last);
    for (Index k = n; k > 0; k--) {
        Task *task = &here.tasks[k - 1];
        const Place *place = &here.places[task->place];
        // the inputs have been told by the row after this one
        int are_told = place->kind == PRODUCTS && after->is_next_row && after->phase == place->phase;
        task->level = place->level;
        visit_operands(&here, task, 0, !are_told, come_before);
        if (place->terms) after = place;
    }
    join_phases(compiler, compiler->tasks, n, 1);
    for (Index k = 0; k < n; k++) compiler->places[compiler->tasks[k].place].level = compiler->tasks[k].level;
    sort_tasks(compiler, n);
    for (Index k = 0, first = 0; k < n; k++) {
        const Task *task = &compiler->tasks[k];
        if (k + 1 < n && task[1].level == task->level && task[1].kind == task->kind) continue;
        if (compiler->places[task->place].terms) sort_rows(compiler, compiler->tasks + first, k + 1 - first);
        first = k + 1;
    }
    return n;
}

// A phase and a level of it, as one number: that of its dots is beyond all others.
static inline uint64_t when(const Task *task) {
    return (uint64_t)task->phase << 32 | task->level;
}

static inline void not_before(Task *task, uint64_t least) {
    if (task->kind == PRODUCTS) least |= (Index)-1;
    if (when(task) >= least) return;
    task->phase = (Index)(least >> 32);
    task->level = (Index)least;
}

// What adds to the same gradient as another one before gets a higher level, or the same if it is
// in the same batch, which keeps the order.
static inline uint64_t after_adder(const Adder *adder, Index kind) {
    return adder->when + (adder->when && adder->kind != kind);
}

static inline void come_after(const Compiler *compiler, Task *task, Index operand) {
    not_before(task, after_adder(&compiler->adders[operand], task->kind));
}

static inline void note_adder(const Compiler *compiler, Task *task, Index operand) {
    compiler->adders[operand] = (Adder){when(task), task->kind};
}

// The same for the factors of a dot: so many that a loop of its own pays.
static inline uint64_t after_factors(const Compiler *compiler, const Place *place, int with_inputs) {
    const Adder *adders = compiler->adders;
    const Link *links = compiler->links + place->first;
    uint64_t least = 0;
    for (Index t = 0; t < place->terms; t++) {
        uint64_t after = after_adder(&adders[links[t].w], place->kind);
        if (least < after) least = after;
    }
    for (Index t = 0; t < place->terms && with_inputs; t++) {
        uint64_t after = after_adder(&adders[links[t].x], place->kind);
        if (least < after) least = after;
    }
    return least;
}

static inline void note_factors(const Compiler *compiler, const Place *place, Adder adder, int with_inputs) {
    Adder *adders = compiler->adders;
    const Link *links = compiler->links + place->first;
    for (Index t = 0; t < place->terms; t++) adders[links[t].w] = adder;
    for (Index t = 0; t < place->terms && with_inputs; t++) adders[links[t].x] = adder;
    adders[place->a] = adder;
    adders[0] = (Adder){0};  // of weights that are not there
}

static inline void put_backward(const Compiler *compiler, Index k, Index *n, Last *last) {
    Task *task = &compiler->tasks[*n];
    const Place *place = &compiler->places[k];
    if (!passes_on(place->kind)) return;
    *task = (Task){.kind = place->kind, .place = k};
    not_before(task, compiler->adders[k].when + 1);
    if (place->terms) {
        int is_next = has_same_inputs(compiler, place, last->place);  // and then all of these have the last task as adder
        if (is_next) not_before(task, when(task - 1));
        come_after(compiler, task, place->a);
        not_before(task, after_factors(compiler, place, !is_next));
        if (task->level == 0) task->level = 1;
        note_factors(compiler, place, (Adder){when(task), task->kind}, !is_next || when(task) != when(task - 1));
    } else {
        visit_operands(compiler, task, 1, 1, come_after);
        if (task->level == 0) task->level = 1;
        visit_operands(compiler, task, 1, 1, note_adder);
    }
    last->place = place->kind == PRODUCTS ? k : 0;
    ++*n;
}

// the take of a choice among inner nodes
static inline int is_early(const Compiler *compiler, Index place) {
    Index n = 0, stride = 0;
    if (compiler->places[place].kind != OP_TAKE) return 0;
    const Index *items = items_of(compiler, compiler->places[place].node, &n, &stride);
    return items && n > 1 && compiler->nodes[*items].op != OP_LEAF;
}

// have all such takes one user that passes a gradient on, or none?
static int are_used_once(const Compiler *compiler) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            Index take = place_of(compiler, choice->takes[j]);
            if (take && is_early(compiler, take) && compiler->uses[take].adders > 1) return 0;
        }
    }
    return 1;
}

// The turn of a take among inner nodes must not depend on which of them it copies: it comes right
// after its user's. See find_rows.
static Index backward_tasks(Compiler *compiler) {
    const Compiler here = *compiler;  // as in forward_tasks
    Last last = {0};
    Index n = 0;
    for (Index k = here.m; k > 0; k--) {
        const Place *place = &here.places[k];
        if (is_early(&here, k)) continue;
        put_backward(&here, k, &n, &last);
        if (!passes_on(place->kind) || place->terms) continue;
        if (is_early(&here, place->a)) put_backward(&here, place->a, &n, &last);
        if (is_early(&here, place->b)) put_backward(&here, place->b, &n, &last);
    }
    join_phases(compiler, compiler->tasks, n, 0);
    sort_tasks(compiler, n);
    return n;
}

// -----------------------------------------------------------------------------
// programs

static int is_apart(Index a, Index n, Index b, Index m) {
    return a + n <= b || b + m <= a;
}

static void make_terms(const Compiler *compiler) {
    const Index *slots = compiler->slots;
    const Link *links = compiler->links;
    Term *terms = compiler->replay->terms;
    for (Index k = 0; k < compiler->nlinks; k++) {
        terms[k] = (Term){slots[links[k].w], slots[links[k].x], links[k].product, links[k].sum};
    }
}

static Dot compile_dot(const Compiler *compiler, Index place) {
    Index first = compiler->places[place].first, start = compiler->places[place].a;
    const Term *terms = compiler->replay->terms + first;
    return (Dot){.out = compiler->slots[place], .start = compiler->slots[start], .w = terms->w, .x = terms->x,
                 .n = compiler->places[place].terms, .terms = first};
}

// Both factors stand side by side; and in backward, where no two additions meet, their order is free.
static int is_dense(const Dot *dot, const Term *terms, int is_backward) {
    Index n = dot->n;
    if (!dot->w) return 0;
    if (is_backward) {
        if (!is_apart(dot->w, n, dot->x, n)) return 0;
        if (!is_apart(dot->start, 1, dot->w, n) || !is_apart(dot->start, 1, dot->x, n)) return 0;
    }
    for (Index k = 1; k < n; k++) {
        if (terms[k].w != dot->w + k || terms[k].x != dot->x + k) return 0;
    }
    return 1;
}

// where the rows of a batch are: their weights, and their starts
typedef struct Rows {
    Index low, high;              // from the first weight to behind the last
    Index low_start, high_start;
} Rows;

// Has a dot the same inputs as the rows of a batch, as many, and adds to other weights? A look at
// each row is needed only where they do not stand one beyond the other.
static int is_row(const Batch *batch, const Dot *rows, const Rows *where, const Dot *dot) {
    Index n = dot->n;
    if (batch->op != ROWS || rows->x != dot->x || rows->n != n) return 0;
    int is_beyond = (dot->w >= where->high || dot->w + n <= where->low)
                    && (dot->start >= where->high || dot->start < where->low)
                    && (where->low_start >= dot->w + n || where->high_start < dot->w);
    for (Index k = 0; k < batch->n && !is_beyond; k++) {
        if (!is_apart(rows[k].w, n, dot->w, n)) return 0;
        if (!is_apart(rows[k].start, 1, dot->w, n) || !is_apart(dot->start, 1, rows[k].w, n)) return 0;
    }
    return 1;
}

static void note_row(Rows *where, const Dot *dot, int is_first) {
    if (is_first) *where = (Rows){dot->w, dot->w + dot->n, dot->start, dot->start};
    if (dot->w < where->low) where->low = dot->w;
    if (dot->w + dot->n > where->high) where->high = dot->w + dot->n;
    if (dot->start < where->low_start) where->low_start = dot->start;
    if (dot->start > where->high_start) where->high_start = dot->start;
}

static void put_dot(Program *program, Rows *where, const Dot *dot, const Term *terms, Index level, int is_new,
                    int is_backward) {
    Batch *batch = program->batches + program->nbatches - 1;
    int dense = is_dense(dot, terms, is_backward);
    if (is_new || !(dense ? is_row(batch, program->dots + batch->first, where, dot) : batch->op == DOTS)) {
        *++batch = (Batch){.op = dense ? ROWS : DOTS, .first = program->ndots, .length = dot->n, .level = level};
        program->nbatches++;
    }
    if (batch->op == ROWS) note_row(where, dot, batch->n == 0);
    batch->n++;
    program->dots[program->ndots++] = *dot;
}

static void put_instruction(Program *program, Index op, Instruction instruction, int is_new) {
    if (is_new) program->batches[program->nbatches++] = (Batch){.op = op, .first = program->ninstructions};
    program->batches[program->nbatches - 1].n++;
    program->instructions[program->ninstructions++] = instruction;
}

static int is_run(const Instruction *at, Index n) {
    Index apart = 0, step = at->b ? 1 : 0;
    for (Index i = 0; i < n; i++) apart |= (at[i].out - at->out - i) | (at[i].a - at->a - i) | (at[i].b - at->b - step * i);
    return !apart;
}

static void reverse(Instruction *at, Index n) {
    for (Instruction *low = at, *high = at + n - 1; low < high; low++, high--) {
        Instruction swapped = *low;
        *low = *high;
        *high = swapped;
    }
}

// In backward the last one comes first. The order is free where all operands are different ones.
static void find_runs(Program *program) {
    for (Index i = 0; i < program->nbatches; i++) {
        Batch *batch = &program->batches[i];
        Instruction *at = program->instructions + batch->first;
        if (batch->op != OP_POW && batch->op != OP_RELU) continue;
        batch->is_run = is_run(at, batch->n);
        if (batch->is_run) continue;
        reverse(at, batch->n);
        batch->is_run = is_run(at, batch->n);
        if (!batch->is_run) reverse(at, batch->n);
    }
}

// A row by itself is a dense dot, and in forward, where four are gone through together, so are fewer
// rows than that. Dense dots of one length, or others, that follow one another in a level make one batch.
static void merge_rows(Program *program, int is_backward) {
    Index n = 0;
    for (Index i = 0; i < program->nbatches; i++) {
        Batch *batch = &program->batches[i], *last = n ? &program->batches[n - 1] : NULL;
        if (batch->op == ROWS && batch->n < (is_backward ? 2 : 4)) batch->op = DENSE;
        int is_alike = last && last->op == batch->op && (batch->op == DOTS || last->length == batch->length);
        if (is_alike && (batch->op == DOTS || batch->op == DENSE) && last->level == batch->level) {
            last->n += batch->n;
        } else {
            program->batches[n++] = *batch;
        }
    }
    program->nbatches = n;
}

static int make_program(Compiler *compiler, Program *program, Index n) {
    Rows where = {0, 0, 0, 0};
    program->batches = malloc(((size_t)n + 1) * sizeof(Batch));
    program->instructions = malloc(((size_t)n + 1) * sizeof(Instruction));
    program->dots = malloc(((size_t)n + 1) * sizeof(Dot));
    if (!program->batches || !program->instructions || !program->dots) return 0;
    for (Index k = 0; k < n; k++) {
        const Task *task = &compiler->tasks[k];
        const Place *place = &compiler->places[task->place];
        int is_new = k == 0 || task->level != task[-1].level || task->kind != task[-1].kind;
        if (place->terms) {
            Dot dot = compile_dot(compiler, task->place);
            compiler->where[task->place] = program->ndots;
            put_dot(program, &where, &dot, compiler->replay->terms + dot.terms, task->level, is_new,
                    program == &compiler->replay->backward);
        } else {
            Instruction instruction = {compiler->slots[task->place], compiler->slots[place->a], compiler->slots[place->b]};
            compiler->where[task->place] = program->ninstructions;
            put_instruction(program, place->kind, instruction, is_new);
        }
    }
    find_runs(program);
    merge_rows(program, program == &compiler->replay->backward);
    return 1;
}

static void program_free(Program *program) {
    free(program->batches);
    free(program->instructions);
    free(program->dots);
}

// -----------------------------------------------------------------------------
// choices
//
// Where the items are inner nodes, as the exponentials of logits are for a loss, the walk from
// the root comes to the chosen one first, and to what all are computed from on the way. So
// backward comes to the chosen one last. What the pass adds to a shared gradient in another order
// then must be known: it is in one batch of rows, whose order replay_choose sets.

// The one operand of an instruction that leads on to a row; 0: there is none, or more than one. Leaves
// and shifts may be beside it.
static Index lead_on(const Compiler *compiler, Index place) {
    Index found = 0, operands[] = {compiler->places[place].a, compiler->places[place].b};
    for (int k = 0; k < 2; k++) {
        Index kind = compiler->places[operands[k]].kind;
        if (!operands[k] || kind == OP_SHIFT || kind == OP_LEAF) continue;
        if (found || compiler->uses[operands[k]].adders != 1) return 0;
        found = operands[k];
    }
    return found;
}

// the row that an item is computed from; 0: there is none that is known to be its own
static Index row_below(const Compiler *compiler, Index item) {
    Index row = item;
    while (row && !compiler->places[row].terms) row = lead_on(compiler, row);
    const Place *place = &compiler->places[row];
    if (!row || place->kind != PRODUCTS || !place->has_leaves) return 0;  // weights and bias are leaves
    return compiler->places[place->a].kind == OP_LEAF ? row : 0;
}

// Are the items added up in order, and is that all that uses them besides the take? Has the walk
// come to the take before the sum, and to the take's only user, no dot, after it? And does forward
// compute all items before the take? Then the place of the sum, else 0.
static Index are_summed(const Compiler *compiler, const Choice *choice) {
    Index chosen = place_of(compiler, choice->items[choice->chosen]), at = place_of(compiler, choice->takes[0]);
    Index end = compiler->uses[place_of(compiler, choice->items[choice->chosen == 0])].user;
    Index user = compiler->uses[at].user;
    const Place *take = &compiler->places[at], *sum = &compiler->places[end];
    if (!end || !sum->terms || user < end || sum->since < at) return 0;
    if (compiler->places[user].terms) return 0;  // a dot: backward_tasks does not look inside
    const Link *links = compiler->links + sum->first;
    Index k = sum->a == place_of(compiler, choice->items[0]);
    for (Index t = 0; t < sum->terms; t++) {
        if (links[t].product) return 0;
        if (compiler->places[links[t].x].kind == OP_LEAF) continue;
        if (k == choice->n || links[t].x != place_of(compiler, choice->items[k++])) return 0;
    }
    for (Index j = 0; j < choice->n && k == choice->n; j++) {
        Index item = place_of(compiler, choice->items[j]);
        if (compiler->uses[item].adders != 1u + (item == chosen) || compiler->places[item].level >= take->level) return 0;
    }
    return k == choice->n ? end : 0;
}

static inline void see(const Compiler *compiler, Task *task, Index operand) {
    Seen *seen = &compiler->seen[operand];
    if (seen->look != compiler->looks) *seen = (Seen){.look = compiler->looks};
    if (seen->last != task->place) *seen = (Seen){compiler->looks, task->place, seen->last};
}

// look at the instructions beyond `after` and up to `end`
static void look_at(Compiler *compiler, Index after, Index end) {
    compiler->looks++;
    for (Index k = after + 1; k <= end; k++) {
        Task task = {.place = k};
        if (passes_on(compiler->places[k].kind)) visit_operands(compiler, &task, 1, 1, see);
    }
}

// is none of a leaf's users, this one excepted, among those and beyond `after`?
static int is_unused(const Compiler *compiler, Index leaf, Index user, Index after) {
    const Seen *seen = &compiler->seen[leaf];
    return seen->look != compiler->looks || (seen->last == user ? seen->before : seen->last) <= after;
}

// What else passes a gradient on to the leaves between an item and its row, and to the row's own?
// The walk comes to all of it before the chosen row's product, and so before any row's, or after
// the sum: then its turn does not depend on which one is chosen.
static int is_alone(const Compiler *compiler, Index item, Index chosen) {
    Index row = row_below(compiler, item), limit = compiler->places[chosen].since;
    const Link *links = compiler->links + compiler->places[chosen].first;
    const Link *own = compiler->links + compiler->places[row].first;
    for (Index i = item; i != row; i = lead_on(compiler, i)) {
        Index operands[] = {compiler->places[i].a, compiler->places[i].b};
        for (int k = 0; k < 2; k++) {
            if (!operands[k] || compiler->places[operands[k]].kind != OP_LEAF) continue;
            if (!is_unused(compiler, operands[k], i, chosen)) return 0;
        }
    }
    for (Index k = 0; k < compiler->places[chosen].terms; k++) {
        if (limit < links[k].w) limit = links[k].w;
        if (limit < links[k].x) limit = links[k].x;
        if (!is_unused(compiler, own[k].w, row, limit)) return 0;
        if (k == 0 && !is_unused(compiler, compiler->places[row].a, row, limit)) return 0;
    }
    return 1;
}

static int are_alone(Compiler *compiler, const Choice *choice, Index end) {
    Index chosen = row_below(compiler, place_of(compiler, choice->items[choice->chosen]));
    const Link *first = &compiler->links[compiler->places[chosen].first];
    Index after = compiler->places[chosen].since;
    if (after < first->w) after = first->w;
    if (after < first->x) after = first->x;
    look_at(compiler, after, end);
    for (Index r = 0; r < choice->n; r++) {
        if (!is_alone(compiler, place_of(compiler, choice->items[r]), chosen)) return 0;
    }
    return 1;
}

static int find_rows(Compiler *compiler, const Choice *choice, Switch *chooser) {
    const Program *program = &compiler->replay->backward;
    Index lowest = program->ndots, highest = 0;
    Index take = place_of(compiler, choice->takes[0]);
    if (!take || take > compiler->m || choice->n == 1) return 1;  // backward does not come here, or as always
    Index end = are_summed(compiler, choice);
    if (!end) return 0;
    chooser->rows = malloc(choice->n * sizeof(Dot));
    if (!chooser->rows) return 0;
    for (Index k = 0; k < choice->n; k++) {
        Index row = row_below(compiler, place_of(compiler, choice->items[k]));
        if (!row) return 0;
        Index at = compiler->where[row];
        if (at == NOWHERE) return 0;
        chooser->rows[k] = program->dots[at];
        if (at < lowest) lowest = at;
        if (at > highest) highest = at;
    }
    chooser->first = lowest;
    chooser->nrows = choice->n;
    if (highest - lowest + 1 != choice->n) return 0;
    for (Index i = 0; i < program->nbatches; i++) {
        const Batch *batch = &program->batches[i];
        if (batch->op != ROWS || batch->first > lowest || highest >= batch->first + batch->n) continue;
        return are_alone(compiler, choice, end);
    }
    return 0;
}

// a take that a program does not have gets the place behind its last instruction
static int make_switches(Compiler *compiler, Index *forward) {
    Replay *replay = compiler->replay;
    replay->switches = calloc(compiler->nchoices + 1, sizeof(Switch));
    if (!replay->switches) return 0;
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        Switch *chooser = &replay->switches[replay->nswitches++];
        size_t n = (size_t)choice->n * choice->width;
        chooser->width = choice->width;
        chooser->items = malloc((n + 2 * (size_t)choice->width) * sizeof(Index));
        if (!chooser->items) return 0;
        chooser->forward = chooser->items + n;
        chooser->backward = chooser->forward + choice->width;
        int leaves = 0;
        for (size_t k = 0; k < n; k++) {
            chooser->items[k] = slot_of(compiler, choice->items[k]);
            leaves += compiler->nodes[choice->items[k]].op == OP_LEAF;
        }
        for (Index j = 0; j < choice->width; j++) {
            Index take = place_of(compiler, choice->takes[j]);
            chooser->forward[j] = forward[take] != NOWHERE ? forward[take] : replay->forward.ninstructions;
            chooser->backward[j] = compiler->where[take] != NOWHERE ? compiler->where[take] : replay->backward.ninstructions;
        }
        if (leaves != (int)n && (leaves || choice->width != 1 || !find_rows(compiler, choice, chooser))) return 0;
    }
    return 1;
}

// -----------------------------------------------------------------------------
// grids
//
// Rows of a matrix times many vectors: what is read of the matrix serves all of them. In backward
// that changes the order in which the rows are gone through, but not that of the additions to one
// weight, or to one vector.

// from the lowest slot to behind the highest
typedef struct Range {
    Index low, high;
} Range;

static void extend(Range *range, Index slot, Index n) {
    if (range->low == range->high) *range = (Range){slot, slot + n};
    if (slot < range->low) range->low = slot;
    if (slot + n > range->high) range->high = slot + n;
}

// does a choice change the order of these rows?
static int is_switched(const Replay *replay, const Batch *batch) {
    for (Index c = 0; c < replay->nswitches; c++) {
        const Switch *chooser = &replay->switches[c];
        if (chooser->nrows && batch->first <= chooser->first && chooser->first < batch->first + batch->n) return 1;
    }
    return 0;
}

// the same rows times another vector
static int has_same_rows(const Program *program, const Batch *grid, const Batch *batch) {
    const Dot *rows = program->dots + grid->first, *dots = program->dots + batch->first;
    if (batch->op != ROWS || batch->level != grid->level || batch->n != grid->n || batch->length != grid->length) return 0;
    for (Index i = 0; i < batch->n; i++) {
        if (rows[i].w != dots[i].w) return 0;
    }
    return 1;
}

// how many batches make one grid, from the i-th on
static Index grid_size(const Replay *replay, const Program *program, Index i, int is_backward) {
    const Batch *first = &program->batches[i], *batch = first, *end = program->batches + program->nbatches;
    Range inputs = {0, 0}, starts = {0, 0};
    for (; batch < end && batch->n >= 4 && has_same_rows(program, first, batch); batch++) {
        const Dot *dots = program->dots + batch->first;
        if (is_backward && is_switched(replay, batch)) break;
        if (batch > first && !is_apart(dots->x, batch->length, inputs.low, inputs.high - inputs.low)) break;
        extend(&inputs, dots->x, batch->length);
        for (Index k = 0; k < batch->n; k++) extend(&starts, dots[k].start, 1);
        if (!is_apart(inputs.low, inputs.high - inputs.low, starts.low, starts.high - starts.low)) break;
    }
    return batch > first ? (Index)(batch - first) : 1;
}

static int are_neighbours(const Dot *dots, Index n) {
    Index apart = 0;
    for (Index i = 0; i < n; i++) apart |= (dots[i].out - dots->out - i) | (dots[i].start - dots->start - i);
    return !apart;
}

static void make_grids(const Replay *replay, Program *program, int is_backward) {
    Index n = 0;
    for (Index i = 0, times; i < program->nbatches; i += times) {
        times = grid_size(replay, program, i, is_backward);
        program->batches[n] = program->batches[i];
        if (times > 1) {
            program->batches[n].op = GRID;
            program->batches[n].times = times;
            program->batches[n].is_run = are_neighbours(program->dots + program->batches[i].first, times * program->batches[i].n);
        }
        n++;
    }
    program->nbatches = n;
}

// -----------------------------------------------------------------------------
// the whole

// a compiler with the memory that the tape has kept, and room for the marks of all nodes; 0 without memory
static int compiler_open(Compiler *compiler, Tape *tape, const Choice *choices, size_t nchoices, Replay *replay) {
    if (!tape->compiler) tape->compiler = calloc(1, sizeof *tape->compiler);
    const Compiler *kept = tape->compiler;
    if (!kept) return 0;
    *compiler = (Compiler){
        .tape = tape, .nodes = tape->nodes, .choices = choices, .nchoices = nchoices, .replay = replay,
        .marks = kept->marks, .notes = kept->notes, .nodes_room = kept->nodes_room,
        .places = kept->places, .room = kept->room,
        .links = kept->links, .links_room = kept->links_room,
        .steps = kept->steps, .steps_room = kept->steps_room,
        .forward = kept->forward, .forward_room = kept->forward_room,
        .block = kept->block, .block_size = kept->block_size,
    };
    if (compiler->nodes_room <= tape->used) {
        size_t room = (size_t)tape->capacity + 1;
        free(compiler->marks);
        free(compiler->notes);
        compiler->marks = calloc(room, sizeof(Mark));
        compiler->notes = calloc(room, sizeof(Note));
        compiler->nodes_room = compiler->marks && compiler->notes ? (Index)room : 0;
    }
    return compiler->nodes_room > 0;
}

// after the walk: room for all that is by place
static int reserve_block(Compiler *compiler) {
    size_t n = (size_t)compiler->n + 1;
    size_t counts = 2 * n + KINDS + 2;  // of levels, some without instructions
    size_t size = n * (sizeof(Adder) + sizeof(Uses) + sizeof(Seen) + 2 * sizeof(Task) + 3 * sizeof(Index)) + counts * sizeof(Index);
    if (compiler->block_size < size) {
        free(compiler->block);
        compiler->block = malloc(size);
        compiler->block_size = compiler->block ? size : 0;
    }
    if (!compiler->block) return 0;
    compiler->adders = (Adder *)(void *)compiler->block;
    compiler->tasks = (Task *)(compiler->adders + n);
    compiler->spare = compiler->tasks + n;
    compiler->uses = (Uses *)(compiler->spare + n);
    compiler->seen = (Seen *)(compiler->uses + n);
    compiler->slots = (Index *)(compiler->seen + n);
    compiler->where = compiler->slots + n;
    compiler->counts = compiler->where + 2 * n;
    memset(compiler->adders, 0, n * sizeof(Adder));
    memset(compiler->uses, 0, n * sizeof(Uses));
    memset(compiler->seen, 0, n * sizeof(Seen));
    memset(compiler->slots, 0, n * sizeof(Index));
    memset(compiler->where, 0xff, 2 * n * sizeof(Index));
    return 1;
}

static void compiler_close(Compiler *compiler) {
    if (compiler->nodes_room) clear_marks(compiler);
    *compiler->tape->compiler = *compiler;
    size_t kept = compiler->nodes_room * (sizeof(Mark) + sizeof(Note)) + compiler->room * sizeof(Place)
        + compiler->links_room * sizeof(Link) + compiler->steps_room * sizeof(Step)
        + compiler->forward_room * sizeof(Index) + compiler->block_size;
    if (kept > MOST_KEPT) compiler_free(compiler->tape);
}

void compiler_free(Tape *tape) {
    Compiler *compiler = tape->compiler;
    if (!compiler) return;
    free(compiler->marks);
    free(compiler->notes);
    free(compiler->places);
    free(compiler->links);
    free(compiler->steps);
    free(compiler->forward);
    free(compiler->block);
    free(compiler);
    tape->compiler = NULL;
}

// room for as many slots and terms as there can be; in one block, which costs less than many to take
// from the system again and again
static int reserve(Compiler *compiler, size_t noutputs) {
    Replay *replay = compiler->replay;
    size_t slots = (size_t)compiler->n + 1, numbers = slots + 2 * noutputs;  // room for the outputs while it settles
    size_t ndoubles = 2 * numbers + 2 * slots, nterms = compiler->nlinks;
    replay->block = malloc(ndoubles * sizeof(double) + nterms * sizeof(Term) + slots * (sizeof(Span) + sizeof(Index)));
    if (!replay->block) return 0;
    replay->nterms = compiler->nlinks;
    replay->data = (double *)(void *)replay->block;
    replay->spare = replay->data + numbers;
    replay->grad = replay->spare + numbers;
    replay->before = replay->grad + slots;
    replay->terms = (Term *)(replay->before + slots);
    replay->spans = (Span *)(replay->terms + nterms);
    replay->nodes = (Index *)(replay->spans + slots);
    memset(replay->block, 0, ndoubles * sizeof(double));
    replay->data[0] = replay->spare[0] = 1.0;  // a weight that is not there
    return 1;
}

static int put_outputs(Compiler *compiler, const Index *outputs, size_t n) {
    Replay *replay = compiler->replay;
    replay->outputs = malloc(n * sizeof(Index));
    if (!replay->outputs) return 0;
    for (size_t k = 0; k < n; k++) {
        Index slot = slot_of(compiler, outputs[k]);
        if (slot > replay->privates) replay->outputs[replay->noutputs++] = slot;
    }
    return 1;
}

static int compile(Compiler *compiler, const Index *outputs, size_t noutputs) {
    Replay *replay = compiler->replay;
    if (!walk_all(compiler, outputs, noutputs) || !reserve_block(compiler) || !reserve(compiler, noutputs)) return 0;
    count_uses(compiler);
    number_shared(compiler);
    find_spans(replay);
    if (!are_used_once(compiler)) return 0;
    Index ntasks = forward_tasks(compiler);
    number_private(compiler, ntasks);
    for (Index k = 0; k < ntasks; k++) put_slot(compiler, compiler->tasks[k].place);
    make_terms(compiler);
    if (!put_outputs(compiler, outputs, noutputs) || !make_program(compiler, &replay->forward, ntasks)) return 0;
    Index *in_forward = compiler->where;
    compiler->where += compiler->n + 1;
    if (!make_program(compiler, &replay->backward, backward_tasks(compiler))) return 0;
    if (!make_switches(compiler, in_forward)) return 0;
    make_grids(replay, &replay->forward, 0);
    make_grids(replay, &replay->backward, 1);
    return 1;
}

static inline void set_flag(Node *node, uint8_t flag) {
    node->flags = (node->flags & (uint8_t)~NODE_REPLAYED) | flag;
}

// The nodes beyond the leaves that others see, the outputs excepted: another replay may have those
// inside.
static void mark_nodes(Tape *tape, const Replay *replay, uint8_t flag) {
    Node *nodes = tape->nodes;
    nodes[0].flags = NODE_VISITED;
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags |= NODE_VISITED;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) {
        Node *node = &nodes[replay->nodes[slot]];
        if (!(node->flags & NODE_VISITED)) set_flag(node, flag);
    }
    for (Index i = 0; i < replay->forward.ndots; i++) {  // what is inside is no output
        const Term *terms = replay->terms + replay->forward.dots[i].terms;
        Index n = replay->forward.dots[i].n;
        for (Index k = 0; k < n && terms->product; k++) set_flag(&nodes[terms[k].product], flag);
        for (Index k = 0; k + 1 < n; k++) set_flag(&nodes[terms[k].sum], flag);
    }
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags &= (uint8_t)~NODE_VISITED;
}

Replay *replay_new(Tape *tape, const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices) {
    Replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    Compiler compiler = {.tape = NULL};
    int compiled = compiler_open(&compiler, tape, choices, nchoices, replay) && compile(&compiler, outputs, noutputs);
    if (compiler.tape) compiler_close(&compiler);
    if (!compiled) {
        replay->slots = replay->nterms = 0;
        replay_free(tape, replay);
        return NULL;
    }
    mark_nodes(tape, replay, NODE_REPLAYED);
    for (size_t c = 0; c < nchoices; c++) replay_choose(replay, c, choices[c].chosen);
    return replay;
}

void replay_free(Tape *tape, Replay *replay) {
    if (!replay) return;
    if (replay->slots) mark_nodes(tape, replay, 0);
    for (Index c = 0; c < replay->nswitches; c++) {
        free(replay->switches[c].items);
        free(replay->switches[c].rows);
    }
    free(replay->switches);
    program_free(&replay->forward);
    program_free(&replay->backward);
    free(replay->outputs);
    free(replay->block);
    free(replay);
}

int replay_has(const Replay *replay, Index i) {
    for (Index slot = 1; slot <= replay->slots; slot++) {
        if (replay->nodes[slot] == i) return 1;
    }
    for (Index k = 0; k < replay->nterms; k++) {
        if (replay->terms[k].product == i || replay->terms[k].sum == i) return 1;
    }
    return 0;
}

int replay_is_alive(const Tape *tape, const Replay *replay) {
    const Node *nodes = tape->nodes;
    int alive = 0;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) alive |= nodes[replay->nodes[slot]].op != OP_FREE;
    for (Index k = 0; k < replay->nterms && !alive; k++) {
        Index product = replay->terms[k].product;
        alive |= nodes[replay->terms[k].sum].op != OP_FREE || (product && nodes[product].op != OP_FREE);
    }
    return alive;
}

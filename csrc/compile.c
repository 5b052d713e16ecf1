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

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"

// what there is to know of every node
struct Mark {
    Index place;     // among the instructions and leaves, from 1; 0: the walk has not come to it
    Index user;      // the last one that the walk has seen
    Index choice;    // of an OP_TAKE, from 1; 0: it copies always the same
    Index column;    // and which of the choice's takes it is
    Index flags;     // MarkFlag bits
};

enum MarkFlag {
    MARK_NO_DOT = 1,    // a sum that is in no dot
    MARK_FORWARD = 2    // the walk for the forward pass has come to it
};

static const Index UNDER_WAY = (Index)-1;  // a place: the walk is below that node

// and of every instruction and leaf: their places are the order of the walk, operands first
typedef struct Place {
    Index node;
    Index slot;
    Index uses;      // how many operands it is,
    Index adders;    // and of how many instructions that pass a gradient on to it,
    Index user;      // and the last one of those
    Index terms;     // of a dot,
    Index first;     // where they begin,
    Index since;     // and how many places there were when the walk came to it
    Index kind;      // what is alike has the same: see find_kinds
    Index row_kind;  // of the dots whose first input it is, and how many terms those have
    Index row_terms;
    Index level;     // of forward
    Index last;      // of backward: the level of the last instruction that adds to its gradient,
    Index last_kind; // and its kind
} Place;

// an instruction: those of one level and kind make a batch, in the order of their turns
typedef struct Task {
    Index level, kind;
    Index turn;
    Index place;
} Task;

static const Index NOWHERE = (Index)-1;

// the last term of a sum
typedef struct Link {
    Index sum;
    Index product;   // 0: x alone is added
    Index w, x;
    Index before;    // the sum without it, or the start
} Link;

// where a walk is
typedef struct Step {
    Index node;
    Index next;      // of a take its item; of a dot its term, from 1, or 0: its start
    Index terms, first, since;  // if it ends a dot
} Step;

typedef struct Compiler {
    const Tape *tape;
    const Node *nodes;
    Mark *marks;            // by node
    Place *places;          // in the order of the walk: operands before their users
    Index n, room;
    Index m;                // so many of them are of the backward pass
    Link *links;            // of all dots, term by term
    Index nlinks, links_room;
    Step *steps;            // the walk
    Index nsteps, steps_room;
    Index *forward;         // places, in an order for the forward pass
    Index nforward;
    int is_forward;         // the kind of walk
    unsigned flags;         // of all nodes
    int has_failed;         // there is no memory
    int has_broken;         // something that was taken for a dot is none
    int is_without_dots;
    Index nkinds;
    Task *tasks;
    Index *first_user;      // by place: the first of those that pass a gradient on to it
    Index *users;           // places, ascending
    Task *spare;            // room for as many
    Index *counts;          // room for a number for each level and kind
    Index *where;           // by place: of the program made last, the instruction or dot
    const Choice *choices;
    size_t nchoices;
    Replay *replay;
} Compiler;

static Place *place_of(const Compiler *compiler, Index i) {
    return &compiler->places[compiler->marks[i].place];
}

static Index slot_of(const Compiler *compiler, Index i) {
    return i ? place_of(compiler, i)->slot : 0;
}

// the operand of a leaf is AdamW's
static int is_inner(const Node *node) {
    return node->op != OP_LEAF;
}

// does it pass its gradient on to its operands?
static int passes_on(const Node *node) {
    return node->op >= OP_ADD;
}

// -----------------------------------------------------------------------------
// dots

// nothing but the next operation uses it
static int is_temporary(const Node *node, Op op) {
    return node->op == op && node->refs == 1 && !(node->flags & NODE_WATCHED);
}

// sum = before + product, or before + x, or product + number as sums in Python begin
static Link link_of(const Compiler *compiler, Index sum) {
    const Node *nodes = compiler->nodes;
    Index a = nodes[sum].a, b = nodes[sum].b, product = 0;
    if (is_temporary(&nodes[b], OP_MUL)) product = b;
    else if (is_temporary(&nodes[a], OP_MUL) && nodes[b].op == OP_LEAF) product = a;
    if (!product) return (Link){.sum = sum, .x = b, .before = a};
    Index w = nodes[product].a, x = nodes[product].b;
    int is_swapped = nodes[w].op != OP_LEAF && nodes[x].op == OP_LEAF;  // the weights are leaves
    return (Link){sum, product, is_swapped ? x : w, is_swapped ? w : x, product == b ? a : b};
}

static int reserve_links(Compiler *compiler) {
    if (compiler->nlinks < compiler->links_room) return 1;
    Index room = compiler->links_room ? 2 * compiler->links_room : 1024;
    Link *links = realloc(compiler->links, room * sizeof *links);
    if (!links) return 0;
    compiler->links = links;
    compiler->links_room = room;
    return 1;
}

// The terms of the dot that ends with this sum, first to last: all products, or none. Returns how
// many there are, 0 if it is an addition like others.
static Index find_terms(Compiler *compiler, Index sum) {
    const Node *nodes = compiler->nodes;
    Index first = compiler->nlinks;
    if (nodes[sum].op != OP_ADD || compiler->marks[sum].flags & MARK_NO_DOT || compiler->is_without_dots) return 0;
    Link link = link_of(compiler, sum);
    int is_plain = !link.product;
    for (;;) {
        if (!reserve_links(compiler)) {
            compiler->has_failed = 1;
            compiler->nlinks = first;
            return 0;
        }
        compiler->links[compiler->nlinks++] = link;
        compiler->flags |= nodes[link.product].flags | nodes[link.sum].flags;
        Index before = link.before;
        if (!is_temporary(&nodes[before], OP_ADD)) break;
        link = link_of(compiler, before);
        if ((link.product == 0) != is_plain) break;
    }
    Index terms = compiler->nlinks - first;
    if (is_plain && terms == 1) {
        compiler->nlinks = first;
        return 0;
    }
    for (Link *low = compiler->links + first, *high = low + terms - 1; low < high; low++, high--) {
        Link swapped = *low;
        *low = *high;
        *high = swapped;
    }
    return terms;
}

// -----------------------------------------------------------------------------
// the walk

// of a take: the items it may copy, each `stride` behind the one before; NULL: it is no choice
static const Index *items_of(const Compiler *compiler, Index take, Index *n, Index *stride) {
    const Mark *mark = &compiler->marks[take];
    if (!mark->choice) return NULL;
    const Choice *choice = &compiler->choices[mark->choice - 1];
    *n = choice->n;
    *stride = choice->width;
    return choice->items + mark->column;
}

// room for one more; without memory what there was, and has_failed
static void *grown(Compiler *compiler, void *memory, Index n, Index *room, size_t size) {
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

static inline int is_seen(const Compiler *compiler, Index i) {
    const Mark *mark = &compiler->marks[i];
    return compiler->is_forward ? (mark->flags & MARK_FORWARD) != 0 : mark->place != 0;
}

static void put_place(Compiler *compiler, const Step *step) {
    compiler->places = grown(compiler, compiler->places, compiler->n + 1, &compiler->room, sizeof(Place));
    if (compiler->has_failed) return;
    compiler->marks[step->node].place = ++compiler->n;
    compiler->places[compiler->n] = (Place){
        .node = step->node, .terms = step->terms, .first = step->first, .since = step->since};
}

static void come_to(Compiler *compiler, Index i) {
    Mark *mark = &compiler->marks[i];
    Step step = {.node = i, .since = compiler->n};
    if (compiler->nodes[i].op == OP_LEAF) {  // the forward pass does nothing there
        mark->flags |= MARK_FORWARD;
        compiler->flags |= compiler->nodes[i].flags;
        if (!mark->place) put_place(compiler, &step);
        return;
    }
    compiler->steps = grown(compiler, compiler->steps, compiler->nsteps, &compiler->steps_room, sizeof step);
    if (compiler->is_forward) mark->flags |= MARK_FORWARD;
    if (mark->place) {
        step.terms = compiler->places[mark->place].terms;
        step.first = compiler->places[mark->place].first;
    } else {
        mark->place = UNDER_WAY;
        compiler->flags |= compiler->nodes[i].flags;
        step.terms = find_terms(compiler, i);
        step.first = compiler->nlinks - step.terms;
    }
    if (!compiler->has_failed) compiler->steps[compiler->nsteps++] = step;
}

// A dot's gradient goes on to all its factors at its end's turn, in backward earlier than each
// product's turn. So the walk must not come to another user of a factor in between.
static void break_dot(Compiler *compiler, Index sum) {
    const Step *step = compiler->steps + compiler->nsteps;
    if (compiler->marks[sum].flags & MARK_NO_DOT) return;  // known already
    while ((--step)->node != sum) continue;
    for (Index t = 0; t < step->terms; t++) compiler->marks[compiler->links[step->first + t].sum].flags |= MARK_NO_DOT;
    compiler->has_broken |= step->terms > 0;
}

static inline void note_user(Compiler *compiler, Index i, Index user) {
    Index before = compiler->marks[i].user;
    compiler->marks[i].user = user;
    if (before != user && compiler->marks[before].place == UNDER_WAY && i) break_dot(compiler, before);
}

// The operands of a dot: the start, then the factors of each product, or what is added, in the
// order of the pass over the nodes. (Where a sum begins as product + number the number is a leaf,
// whose turn does not matter.) Returns the first one that the walk has not seen, 0 after the last.
static Index next_in_dot(Compiler *compiler, Step *step) {
    const Link *links = compiler->links + step->first;
    const Node *nodes = compiler->nodes;
    int is_plain = !links->product;
    if (step->next == 0) {
        if (!is_seen(compiler, links->before)) return links->before;
        step->next = 1;
    }
    for (Index t = step->next - 1; t < step->terms; t++) {
        const Node *product = &nodes[links[t].product];
        Index a = is_plain ? links[t].x : product->a, b = is_plain ? a : product->b;
        step->next = t + 1;
        if (!is_seen(compiler, a)) return a;
        if (!is_seen(compiler, b)) return b;
        if (compiler->is_forward) continue;
        note_user(compiler, a, step->node);
        note_user(compiler, b, step->node);
        if (t == 0) note_user(compiler, links->before, step->node);
    }
    return 0;
}

// the same for other instructions; for the forward pass a take has all its items as operands, and
// below a shift there is something
static Index next_operand(Compiler *compiler, Step *step) {
    const Node *node = &compiler->nodes[step->node];
    Index n = 0, stride = 0;
    const Index *items = compiler->is_forward ? items_of(compiler, step->node, &n, &stride) : NULL;
    if (!compiler->is_forward && !passes_on(node)) return 0;
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
    if (!passes_on(node)) return;
    for (Index k = 0; items && k < n; k++) note_user(compiler, items[k * stride], i);
    note_user(compiler, node->a, i);
    note_user(compiler, node->b, i);
}

static void leave(Compiler *compiler, const Step *step) {
    if (compiler->marks[step->node].place == UNDER_WAY) {
        put_place(compiler, step);
        if (compiler->has_failed) return;
        if (!compiler->is_forward && !step->terms) note_operands(compiler, step->node);
    }
    if (compiler->is_forward) compiler->forward[compiler->nforward++] = compiler->marks[step->node].place;
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

// Marks are kept with the tape: to clear those of a small graph takes no look at all nodes.
static int reserve_marks(Tape *tape) {
    if (tape->marks_room > tape->used) return 1;
    free(tape->marks);
    tape->marks = calloc((size_t)tape->capacity + 1, sizeof(Mark));
    tape->marks_room = tape->marks ? tape->capacity + 1 : 0;
    return tape->marks != NULL;
}

// as if the walk had not been, flags excepted
static void forget_walk(Compiler *compiler) {
    for (Index k = 1; k <= compiler->n; k++) {
        Mark *mark = &compiler->marks[compiler->places[k].node];
        mark->place = mark->user = 0;
    }
    compiler->marks[0].user = 0;
    compiler->n = compiler->nlinks = 0;
    compiler->has_broken = 0;
}

static void clear_marks(Compiler *compiler) {
    Mark *marks = compiler->marks, none = {0};
    if (!marks) return;
    if (compiler->has_failed) {  // there may be some that no place tells of
        memset(marks, 0, compiler->tape->marks_room * sizeof none);
        return;
    }
    marks[0] = none;
    for (Index k = 1; k <= compiler->n; k++) marks[compiler->places[k].node] = none;
    for (Index k = 0; k < compiler->nlinks; k++) {
        marks[compiler->links[k].sum] = none;
        marks[compiler->links[k].product] = none;
    }
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) marks[choice->takes[j]] = none;
    }
}

// Find the places and the dots. Where something is no dot, walk again without it.
static int walk_all(Compiler *compiler, const Index *outputs, size_t n) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            compiler->marks[choice->takes[j]].choice = (Index)c + 1;
            compiler->marks[choice->takes[j]].column = j;
        }
    }
    for (int again = 0; again == 0 || compiler->has_broken; again++) {
        if (again > 0) forget_walk(compiler);
        compiler->is_without_dots = again == 3;
        walk(compiler, outputs[0]);
        if (compiler->has_failed) return 0;
    }
    compiler->m = compiler->n;
    compiler->is_forward = 1;
    size_t room = compiler->tape->live;  // as many as there may be
    compiler->forward = malloc((room + 1) * sizeof(Index));
    if (!compiler->forward) return 0;
    for (size_t k = 0; k < n; k++) walk(compiler, outputs[k]);
    for (size_t c = 0; c < compiler->nchoices; c++) {  // no output may be above the takes
        const Choice *choice = &compiler->choices[c];
        for (size_t k = 0; k < (size_t)choice->n * choice->width; k++) walk(compiler, choice->items[k]);
    }
    if (compiler->has_failed || compiler->flags & (NODE_REPLAYED | NODE_FUNCTION | NODE_USER)) return 0;
    for (Index k = 1; k <= compiler->n; k++) {  // another recording's choice would not reach this program
        const Node *node = &compiler->nodes[compiler->places[k].node];
        if (node->op == OP_TAKE && node->flags & NODE_CHOICE && !compiler->marks[compiler->places[k].node].choice) return 0;
    }
    return 1;
}

static void count_operand(Compiler *compiler, Index i, Index user) {
    if (!i) return;
    Place *place = place_of(compiler, i);
    place->uses++;
    if (user > compiler->m || !passes_on(&compiler->nodes[compiler->places[user].node])) return;
    place->adders++;
    place->user = user;
}

static void count_uses(Compiler *compiler) {
    for (Index k = 1; k <= compiler->n; k++) {
        const Place *place = &compiler->places[k];
        const Node *node = &compiler->nodes[place->node];
        const Link *links = compiler->links + place->first;
        if (!is_inner(node)) continue;
        for (Index t = 0; t < place->terms; t++) {
            count_operand(compiler, links[t].w, k);
            count_operand(compiler, links[t].x, k);
        }
        count_operand(compiler, place->terms ? links->before : node->a, k);
        if (!place->terms) count_operand(compiler, node->b, k);
    }
}

// -----------------------------------------------------------------------------
// slots

static void put_slot(Compiler *compiler, Place *place) {
    Replay *replay = compiler->replay;
    if (place->slot) return;
    place->slot = ++replay->slots;
    replay->nodes[place->slot] = place->node;
}

// only nodes of this graph use it: others see what the replay holds after it is settled
static int is_private(const Compiler *compiler, const Place *place) {
    const Node *node = &compiler->nodes[place->node];
    return node->refs == place->uses && !(node->flags & NODE_WATCHED);
}

static void number_leaf(Compiler *compiler, Index i, int privates) {
    if (!i || compiler->nodes[i].op != OP_LEAF) return;
    Place *place = place_of(compiler, i);
    if (is_private(compiler, place) == privates) put_slot(compiler, place);
}

// The rows of choices side by side, and the factors of a dot; then other leaves in the order in
// which they are used.
static void number_shared(Compiler *compiler) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        size_t items = (size_t)choice->n * choice->width;
        for (size_t k = 0; k < items; k++) number_leaf(compiler, choice->items[k], 0);
    }
    for (Index k = 1; k <= compiler->n; k++) {
        const Place *place = &compiler->places[k];
        const Link *links = compiler->links + place->first;
        for (Index t = 0; t < place->terms; t++) number_leaf(compiler, links[t].w, 0);
        for (Index t = 0; t < place->terms; t++) number_leaf(compiler, links[t].x, 0);
    }
    for (Index k = 1; k <= compiler->n; k++) number_leaf(compiler, compiler->places[k].node, 0);
    compiler->replay->leaves = compiler->replay->slots;
}

// what a batch reads one after the other stands side by side
static void number_private(Compiler *compiler, Index ntasks) {
    for (Index k = 0; k < ntasks; k++) {
        const Place *place = &compiler->places[compiler->tasks[k].place];
        const Node *node = &compiler->nodes[place->node];
        const Link *links = compiler->links + place->first;
        for (Index t = 0; t < place->terms; t++) number_leaf(compiler, links[t].w, 1);
        for (Index t = 0; t < place->terms; t++) number_leaf(compiler, links[t].x, 1);
        if (!place->terms) number_leaf(compiler, node->a, 1);
        if (!place->terms) number_leaf(compiler, node->b, 1);
    }
    for (Index k = 0; k < ntasks; k++) {
        const Place *place = &compiler->places[compiler->tasks[k].place];
        if (place->terms) number_leaf(compiler, compiler->links[place->first].before, 1);
    }
    for (Index k = 1; k <= compiler->n; k++) number_leaf(compiler, compiler->places[k].node, 1);
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

// The operation; of a dot that adds up products its length and its inputs, too.
static void find_kinds(Compiler *compiler) {
    enum { PLAIN = OP_FREE, FIRST_ROW };
    compiler->nkinds = FIRST_ROW;
    for (Index k = 1; k <= compiler->n; k++) {
        Place *place = &compiler->places[k];
        const Link *first = compiler->links + place->first;
        if (!place->terms || !first->product) {
            place->kind = place->terms ? PLAIN : compiler->nodes[place->node].op;
            continue;
        }
        Place *x = place_of(compiler, first->x);
        if (!x->row_kind || x->row_terms != place->terms) {
            x->row_kind = compiler->nkinds++;
            x->row_terms = place->terms;
        }
        place->kind = x->row_kind;
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
    sort_by(compiler->tasks, compiler->spare, n, 0, compiler->counts, compiler->nkinds);
    sort_by(compiler->spare, compiler->tasks, n, 1, compiler->counts, levels);
}

typedef void Visit(const Compiler *compiler, Task *task, Index operand);

// do something with each operand of an instruction
static void visit_operands(const Compiler *compiler, Task *task, Visit *visit) {
    const Place *place = &compiler->places[task->place];
    const Node *node = &compiler->nodes[place->node];
    Index n = 0, stride = 0;
    const Index *items = items_of(compiler, place->node, &n, &stride);
    if (items) {
        for (Index k = 0; k < n; k++) visit(compiler, task, items[k * stride]);
    } else if (place->terms) {
        const Link *links = compiler->links + place->first;
        for (Index k = 0; k < place->terms; k++) {
            if (links[k].w) visit(compiler, task, links[k].w);
            visit(compiler, task, links[k].x);
        }
        visit(compiler, task, links->before);
    } else {
        visit(compiler, task, node->a);
        if (node->b) visit(compiler, task, node->b);
    }
}

static void rise_above(const Compiler *compiler, Task *task, Index operand) {
    Index level = place_of(compiler, operand)->level;
    if (task->level <= level) task->level = level + 1;
}

static void put_forward(Compiler *compiler, Index k, Index *n) {
    Place *place = &compiler->places[k];
    Task *task = &compiler->tasks[*n];
    if (!is_inner(&compiler->nodes[place->node])) return;
    *task = (Task){.level = 1, .kind = place->kind, .turn = place->terms ? compiler->links[place->first].w : 0, .place = k};
    visit_operands(compiler, task, rise_above);
    place->level = task->level;
    ++*n;
}

static int compare_turns(const void *first, const void *second) {
    const Task *a = first, *b = second;
    if (a->turn != b->turn) return a->turn < b->turn ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

// the rows of a batch in the order in which their weights were made
static void sort_rows(Task *tasks, Index n) {
    Index k = 1;
    while (k < n && tasks[k - 1].turn <= tasks[k].turn) k++;
    if (k < n) qsort(tasks, n, sizeof(Task), compare_turns);
}

static Index forward_tasks(Compiler *compiler) {
    Index n = 0;
    for (Index k = 0; k < compiler->nforward; k++) put_forward(compiler, compiler->forward[k], &n);
    sort_tasks(compiler, n);
    for (Index k = 0, first = 0; k < n; k++) {
        const Task *task = &compiler->tasks[k];
        if (k + 1 < n && task[1].level == task->level && task[1].kind == task->kind) continue;
        if (compiler->places[task->place].terms) sort_rows(compiler->tasks + first, k + 1 - first);
        first = k + 1;
    }
    return n;
}

// What adds to the same gradient as another one before gets a higher level, or the same if it is
// in the same batch, which keeps the order.
static void come_after(const Compiler *compiler, Task *task, Index operand) {
    const Place *place = place_of(compiler, operand);
    Index least = place->last + (place->last && place->last_kind != task->kind);
    if (task->level < least) task->level = least;
}

static void note(const Compiler *compiler, Task *task, Index operand) {
    place_of(compiler, operand)->last = task->level;
    place_of(compiler, operand)->last_kind = task->kind;
}

static void put_backward(Compiler *compiler, Index k, Index *n) {
    const Place *place = &compiler->places[k];
    Task *task = &compiler->tasks[*n];
    if (!passes_on(&compiler->nodes[place->node])) return;
    *task = (Task){.level = place->last + 1, .kind = place->kind, .place = k};
    visit_operands(compiler, task, come_after);
    visit_operands(compiler, task, note);
    ++*n;
}

// the take of a choice among inner nodes
static int is_early(const Compiler *compiler, Index i) {
    Index n = 0, stride = 0;
    const Index *items = items_of(compiler, i, &n, &stride);
    return items && n > 1 && compiler->nodes[*items].op != OP_LEAF;
}

// have all such takes one user that passes a gradient on, or none?
static int are_used_once(const Compiler *compiler) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            Index take = compiler->marks[choice->takes[j]].place;
            if (take && is_early(compiler, choice->takes[j]) && compiler->places[take].adders > 1) return 0;
        }
    }
    return 1;
}

// The turn of a take among inner nodes must not depend on which of them it copies: it comes right
// after its user's. See find_rows.
static Index backward_tasks(Compiler *compiler) {
    Index n = 0;
    for (Index k = compiler->m; k > 0; k--) {
        const Node *node = &compiler->nodes[compiler->places[k].node];
        if (is_early(compiler, compiler->places[k].node)) continue;
        put_backward(compiler, k, &n);
        if (!passes_on(node)) continue;
        if (is_early(compiler, node->a)) put_backward(compiler, compiler->marks[node->a].place, &n);
        if (is_early(compiler, node->b)) put_backward(compiler, compiler->marks[node->b].place, &n);
    }
    sort_tasks(compiler, n);
    return n;
}

// -----------------------------------------------------------------------------
// programs

static int is_apart(Index a, Index n, Index b, Index m) {
    return a + n <= b || b + m <= a;
}

static void make_terms(const Compiler *compiler) {
    for (Index k = 0; k < compiler->replay->nterms; k++) {
        const Link *link = &compiler->links[k];
        compiler->replay->terms[k] = (Term){slot_of(compiler, link->w), slot_of(compiler, link->x), link->product, link->sum};
    }
}

static Dot compile_dot(const Compiler *compiler, const Place *place) {
    const Term *terms = compiler->replay->terms + place->first;
    return (Dot){.out = place->slot, .start = slot_of(compiler, compiler->links[place->first].before),
                 .w = terms->w, .x = terms->x, .n = place->terms, .terms = place->first};
}

// both factors stand side by side, and where no two additions meet their order is free
static int is_dense(const Dot *dot, const Term *terms) {
    Index n = dot->n;
    if (!dot->w || !is_apart(dot->w, n, dot->x, n)) return 0;
    if (!is_apart(dot->start, 1, dot->w, n) || !is_apart(dot->start, 1, dot->x, n)) return 0;
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

// Do the rows of a batch and the dot, of the same kind, add to different weights? A look at each
// row is needed only where they do not stand one beyond the other.
static int is_row(const Batch *batch, const Dot *rows, const Rows *where, const Dot *dot) {
    Index n = dot->n;
    if (batch->op != ROWS) return 0;
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

static void put_dot(Program *program, Rows *where, const Dot *dot, const Term *terms, int is_new) {
    Batch *batch = program->batches + program->nbatches - 1;
    int dense = is_dense(dot, terms);
    if (is_new || !(dense ? is_row(batch, program->dots + batch->first, where, dot) : batch->op == DOTS)) {
        *++batch = (Batch){.op = dense ? ROWS : DOTS, .first = program->ndots, .length = dot->n};
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

// a row by itself is a dense dot; those that follow one another in a level make one batch
static void merge_rows(Program *program, const Index *levels) {
    Index n = 0;
    for (Index i = 0; i < program->nbatches; i++) {
        Batch *batch = &program->batches[i], *last = n ? &program->batches[n - 1] : NULL;
        if (batch->op == ROWS && batch->n == 1) batch->op = DENSE;
        if (last && batch->op == DENSE && last->op == DENSE && last->length == batch->length
            && levels[last->first] == levels[batch->first]) {
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
    Index *levels = malloc(((size_t)n + 1) * sizeof *levels);  // by dot
    if (!program->batches || !program->instructions || !program->dots || !levels) {
        free(levels);
        return 0;
    }
    for (Index k = 0; k < n; k++) {
        const Task *task = &compiler->tasks[k];
        const Place *place = &compiler->places[task->place];
        const Node *node = &compiler->nodes[place->node];
        int is_new = k == 0 || task->level != task[-1].level || task->kind != task[-1].kind;
        if (place->terms) {
            Dot dot = compile_dot(compiler, place);
            levels[program->ndots] = task->level;
            compiler->where[task->place] = program->ndots;
            put_dot(program, &where, &dot, compiler->replay->terms + dot.terms, is_new);
        } else {
            Instruction instruction = {place->slot, slot_of(compiler, node->a), slot_of(compiler, node->b)};
            compiler->where[task->place] = program->ninstructions;
            put_instruction(program, node->op, instruction, is_new);
        }
    }
    merge_rows(program, levels);
    free(levels);
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

// The one operand of a node that leads on to a row; 0: there is none, or more than one. Leaves and
// shifts may be beside it.
static Index lead_on(const Compiler *compiler, Index i) {
    Index found = 0, operands[] = {compiler->nodes[i].a, compiler->nodes[i].b};
    for (int k = 0; k < 2; k++) {
        Index op = compiler->nodes[operands[k]].op;
        if (!operands[k] || op == OP_SHIFT || op == OP_LEAF) continue;
        if (found || place_of(compiler, operands[k])->adders != 1) return 0;
        found = operands[k];
    }
    return found;
}

// the row that an item is computed from; 0: there is none that is known to be its own
static Index row_below(const Compiler *compiler, Index item) {
    Index row = item;
    while (row && !place_of(compiler, row)->terms) row = lead_on(compiler, row);
    if (!row) return 0;
    const Place *place = place_of(compiler, row);
    const Link *links = compiler->links + place->first;
    for (Index k = 0; k < place->terms; k++) {  // weights and bias are leaves
        if (!links[k].product || compiler->nodes[links[k].w].op != OP_LEAF) return 0;
    }
    return compiler->nodes[links->before].op == OP_LEAF ? row : 0;
}

// Are the items added up in order, and is that all that uses them besides the take? Has the walk
// come to the take before the sum, and to the take's only user, no dot, after it? And does forward
// compute all items before the take? Then the place of the sum, else 0.
static Index are_summed(const Compiler *compiler, const Choice *choice) {
    Index chosen = choice->items[choice->chosen], other = choice->items[choice->chosen == 0];
    Index at = compiler->marks[choice->takes[0]].place, end = place_of(compiler, other)->user;
    const Place *take = &compiler->places[at], *sum = &compiler->places[end];
    if (!end || !sum->terms || take->user < end || sum->since < at) return 0;
    if (compiler->places[take->user].terms) return 0;  // a dot: backward_tasks does not look inside
    const Link *links = compiler->links + sum->first;
    Index k = links->before == choice->items[0];
    for (Index t = 0; t < sum->terms; t++) {
        if (links[t].product) return 0;
        if (compiler->nodes[links[t].x].op == OP_LEAF) continue;
        if (k == choice->n || links[t].x != choice->items[k++]) return 0;
    }
    for (Index j = 0; j < choice->n && k == choice->n; j++) {
        const Place *item = place_of(compiler, choice->items[j]);
        if (item->adders != 1u + (item->node == chosen) || item->level >= take->level) return 0;
    }
    return k == choice->n ? end : 0;
}

static void count_user(const Compiler *compiler, Task *task, Index operand) {
    (void)task;
    compiler->first_user[compiler->marks[operand].place + 2]++;
}

static void put_user(const Compiler *compiler, Task *task, Index operand) {
    compiler->users[compiler->first_user[compiler->marks[operand].place + 1]++] = task->place;
}

static void visit_all(const Compiler *compiler, Visit *visit) {
    for (Index k = 1; k <= compiler->m; k++) {
        Task task = {.place = k};
        if (passes_on(&compiler->nodes[compiler->places[k].node])) visit_operands(compiler, &task, visit);
    }
}

// the users of each place, one after the other: those of place k are users[first_user[k]] and so
// on, to that of k + 1
static int list_users(Compiler *compiler) {
    compiler->first_user = calloc((size_t)compiler->n + 3, sizeof(Index));
    if (!compiler->first_user) return 0;
    visit_all(compiler, count_user);
    for (Index k = 1; k <= compiler->n + 2; k++) compiler->first_user[k] += compiler->first_user[k - 1];
    compiler->users = malloc(((size_t)compiler->first_user[compiler->n + 2] + 1) * sizeof(Index));
    if (!compiler->users) return 0;
    visit_all(compiler, put_user);
    return 1;
}

// is none of a leaf's users, this row excepted, in places beyond `after` and up to `end`?
static int is_unused(const Compiler *compiler, Index leaf, Index row, Index after, Index end) {
    Index place = compiler->marks[leaf].place;
    Index low = compiler->first_user[place], high = compiler->first_user[place + 1], last = high;
    while (low < high) {  // the first user beyond
        Index middle = low + (high - low) / 2;
        if (compiler->users[middle] > after) high = middle;
        else low = middle + 1;
    }
    while (low < last && compiler->users[low] == row) low++;
    return low == last || compiler->users[low] > end;
}

// What else passes a gradient on to the leaves between an item and its row, and to the row's own?
// The walk comes to all of it before the chosen row's product, and so before any row's, or after
// the sum: then its turn does not depend on which one is chosen.
static int is_alone(const Compiler *compiler, Index item, const Place *chosen, Index end) {
    const Link *links = compiler->links + chosen->first;
    Index row = row_below(compiler, item), at = compiler->marks[row].place, limit = chosen->since;
    const Link *own = compiler->links + compiler->places[at].first;
    for (Index i = item; i != row; i = lead_on(compiler, i)) {
        Index operands[] = {compiler->nodes[i].a, compiler->nodes[i].b}, user = compiler->marks[i].place;
        for (int k = 0; k < 2; k++) {
            if (!operands[k] || compiler->nodes[operands[k]].op != OP_LEAF) continue;
            if (!is_unused(compiler, operands[k], user, compiler->marks[chosen->node].place, end)) return 0;
        }
    }
    for (Index k = 0; k < chosen->terms; k++) {
        Index w = compiler->marks[links[k].w].place, x = compiler->marks[links[k].x].place;
        if (limit < w) limit = w;
        if (limit < x) limit = x;
        if (!is_unused(compiler, own[k].w, at, limit, end)) return 0;
        if (k == 0 && !is_unused(compiler, own->before, at, limit, end)) return 0;
    }
    return 1;
}

static int are_alone(Compiler *compiler, const Choice *choice, Index end) {
    const Place *chosen = place_of(compiler, row_below(compiler, choice->items[choice->chosen]));
    if (!compiler->users && !list_users(compiler)) return 0;
    for (Index r = 0; r < choice->n; r++) {
        if (!is_alone(compiler, choice->items[r], chosen, end)) return 0;
    }
    return 1;
}

static int find_rows(Compiler *compiler, const Choice *choice, Switch *chooser) {
    const Program *program = &compiler->replay->backward;
    Index lowest = program->ndots, highest = 0;
    Index take = compiler->marks[choice->takes[0]].place;
    if (!take || take > compiler->m || choice->n == 1) return 1;  // backward does not come here, or as always
    Index end = are_summed(compiler, choice);
    if (!end) return 0;
    chooser->rows = malloc(choice->n * sizeof(Dot));
    if (!chooser->rows) return 0;
    for (Index k = 0; k < choice->n; k++) {
        Index row = row_below(compiler, choice->items[k]);
        if (!row) return 0;
        Index at = compiler->where[compiler->marks[row].place];
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
            Index take = compiler->marks[choice->takes[j]].place;
            chooser->forward[j] = forward[take] != NOWHERE ? forward[take] : replay->forward.ninstructions;
            chooser->backward[j] = compiler->where[take] != NOWHERE ? compiler->where[take] : replay->backward.ninstructions;
        }
        if (leaves != (int)n && (leaves || choice->width != 1 || !find_rows(compiler, choice, chooser))) return 0;
    }
    return 1;
}

// -----------------------------------------------------------------------------
// the whole

// room for as many slots and terms as there can be
static int reserve(Compiler *compiler, size_t noutputs) {
    Replay *replay = compiler->replay;
    size_t slots = (size_t)compiler->n + 1;
    replay->nterms = compiler->nlinks;
    replay->nodes = malloc(slots * sizeof(Index));
    replay->spans = malloc(slots * sizeof(Span));
    replay->data = calloc(slots + 2 * noutputs, sizeof(double));   // and room for the outputs while it settles
    replay->spare = calloc(slots + 2 * noutputs, sizeof(double));
    replay->grad = calloc(slots, sizeof(double));
    replay->before = malloc(slots * sizeof(double));
    replay->terms = malloc(((size_t)replay->nterms + 1) * sizeof(Term));
    if (!replay->nodes || !replay->spans || !replay->data || !replay->spare || !replay->grad
        || !replay->before || !replay->terms) return 0;
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
    if (!compiler->marks || !reserve_links(compiler)) return 0;
    if (!walk_all(compiler, outputs, noutputs) || !reserve(compiler, noutputs)) return 0;
    count_uses(compiler);
    number_shared(compiler);
    find_spans(replay);
    size_t room = (size_t)compiler->n + 1;
    find_kinds(compiler);
    compiler->tasks = malloc(2 * room * sizeof(Task));
    compiler->where = malloc(2 * room * sizeof(Index));
    compiler->counts = malloc((room + compiler->nkinds + 2) * sizeof(Index));
    if (!compiler->tasks || !compiler->where || !compiler->counts) return 0;
    compiler->spare = compiler->tasks + room;
    memset(compiler->where, 0xff, 2 * room * sizeof(Index));
    if (!are_used_once(compiler)) return 0;
    Index ntasks = forward_tasks(compiler);
    number_private(compiler, ntasks);
    for (Index k = 0; k < ntasks; k++) put_slot(compiler, &compiler->places[compiler->tasks[k].place]);
    make_terms(compiler);
    if (!put_outputs(compiler, outputs, noutputs) || !make_program(compiler, &replay->forward, ntasks)) return 0;
    Index *in_forward = compiler->where;
    compiler->where += room;
    int made = make_program(compiler, &replay->backward, backward_tasks(compiler)) && make_switches(compiler, in_forward);
    compiler->where = in_forward;
    return made;
}

static void mark_node(Node *node, uint8_t flag) {
    if (!(node->flags & NODE_VISITED)) node->flags = (node->flags & (uint8_t)~NODE_REPLAYED) | flag;
}

// The nodes beyond the leaves that others see, the outputs excepted: another replay may have those
// inside.
static void mark_nodes(Tape *tape, const Replay *replay, uint8_t flag) {
    Node *nodes = tape->nodes;
    nodes[0].flags = NODE_VISITED;
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags |= NODE_VISITED;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) mark_node(&nodes[replay->nodes[slot]], flag);
    for (Index k = 0; k < replay->nterms; k++) {
        mark_node(&nodes[replay->terms[k].product], flag);
        mark_node(&nodes[replay->terms[k].sum], flag);
    }
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags &= (uint8_t)~NODE_VISITED;
}

Replay *replay_new(Tape *tape, const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices) {
    Replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    Compiler compiler = {.tape = tape, .nodes = tape->nodes, .marks = reserve_marks(tape) ? tape->marks : NULL,
                         .choices = choices, .nchoices = nchoices, .replay = replay};
    int compiled = compile(&compiler, outputs, noutputs);
    clear_marks(&compiler);
    free(compiler.places);
    free(compiler.links);
    free(compiler.steps);
    free(compiler.forward);
    free(compiler.tasks);
    free(compiler.where);
    free(compiler.counts);
    free(compiler.first_user);
    free(compiler.users);
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
    free(replay->terms);
    free(replay->nodes);
    free(replay->spans);
    free(replay->data);
    free(replay->spare);
    free(replay->grad);
    free(replay->before);
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

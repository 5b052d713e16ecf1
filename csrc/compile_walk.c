// The compiler's walk over the graph: every instruction and leaf gets a place, operands before their
// users, and sums of products are found, the dots. In a network nearly all nodes are inside of dots:
// a dot is one step of the walk, and one place.
//
//     act = 0 + w0*x0 + w1*x1;  out = act.tanh()
//
// are five nodes and five leaves (0, w0, w1, x0, x1). Their places are 0, w0, x0, w1, x1, the dot with
// the start 0 and two terms, and the tanh.
//
// The backward pass goes over the places from the last to the first, which gives all gradients the
// bits of the pass over the nodes. It begins at the first output. A second walk adds places that only
// the forward pass has, and finds an order for it.

#include <stdlib.h>
#include <string.h>
#include "compile.h"

// `memory`, with room for one more item after n of them. Without memory it stays as it is, and sets
// has_failed.
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

// -----------------------------------------------------------------------------
// dots
//
// A dot is found from its last sum: before it, by operand a, is another sum that nothing else uses,
// and so on down to the start.

// Does only one operation use it, and no handle?
static inline int is_temporary(const Node *node, Op op) {
    return (node->op == op) & (node->refs == 1) & !(node->flags & NODE_WATCHED);
}

// One term: sum = before + product, or before + x. Python's sum() begins with 0, which is a leaf on
// the right: sum = product + number.
static inline Link link_of(const Compiler *compiler, Index sum, Index *before) {
    const Node *nodes = compiler->nodes;
    Index a = nodes[sum].a, b = nodes[sum].b, product = 0;
    if (is_temporary(&nodes[b], OP_MUL)) product = b;
    else if (is_temporary(&nodes[a], OP_MUL) && nodes[b].op == OP_LEAF) product = a;
    *before = product && product != b ? b : a;
    if (!product) return (Link){.sum = sum, .x = b};
    return (Link){sum, product, nodes[product].a, nodes[product].b};
}

// If the factors on one side are leaves and those on the other are not, call the leaves the weights.
// (The first term stands for all.)
static void turn_factors(const Compiler *compiler, Link *links, Index n) {
    if (compiler->nodes[links->w].op == OP_LEAF || compiler->nodes[links->x].op != OP_LEAF) return;
    for (Index t = 0; t < n; t++) {
        Index w = links[t].w;
        links[t].w = links[t].x;
        links[t].x = w;
    }
}

// Append the terms of the dot that ends with this sum to the links, first to last: all of them have a
// product, or none has. An ordinary addition has 0 terms.
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

static inline int is_seen(const Compiler *compiler, Index i) {
    Index place = compiler->marks[i].place;
    if (!compiler->is_forward || !place || place == UNDER_WAY) return place != 0;
    return compiler->places[place].is_ordered;
}

// give a node the next place; NULL without memory
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
    if (place) place->is_ordered = 1;  // the forward pass does nothing there
}

static void enter(Compiler *compiler, Index i) {
    Mark *mark = &compiler->marks[i];
    Step step = {.node = i, .since = compiler->n};
    if (compiler->nodes[i].op == OP_LEAF) {
        put_leaf(compiler, i);
        return;
    }
    compiler->flags |= compiler->nodes[i].flags;
    compiler->steps = grown(compiler, compiler->steps, compiler->nsteps, &compiler->steps_room, sizeof step);
    if (mark->place) {  // seen by the backward walk: its terms are known
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

// Backward adds a dot's gradient to all factors at once, while the pass over the nodes does it
// product by product. Another user of a factor between two of them would change the order of the
// additions: then the sums are no dot, and compiler_walk begins again.
static void break_dot(Compiler *compiler, Index sum) {
    const Step *step = compiler->steps + compiler->nsteps;
    if (compiler->notes[sum].is_no_dot) return;
    while ((--step)->node != sum) continue;
    for (Index t = 0; t < step->terms; t++) compiler->notes[compiler->links[step->first + t].sum].is_no_dot = 1;
    compiler->has_broken |= step->terms > 0;
    compiler->has_notes |= step->terms > 0;
}

static inline void note_user(Compiler *compiler, Index i, Index user) {
    Index before = compiler->marks[i].user;
    compiler->marks[i].user = user;
    if (i && before && before != user && compiler->marks[before].place == UNDER_WAY) break_dot(compiler, before);
}

// The next operand of a dot that the walk has not seen, 0 after the last: first the start, then the
// factors of each product, or what is added, in the order of the pass over the nodes. (In product +
// number, the number is a leaf: when it is visited changes nothing.)
static Index next_in_dot(Compiler *compiler, Step *step) {
    const Link *links = compiler->links + step->first;
    Mark *marks = compiler->marks;
    Index user = step->node;
    int is_plain = !links->product, is_forward = compiler->is_forward;
    if (step->next == 0) {
        if (!is_seen(compiler, step->start)) return step->start;
        step->next = 1;
    }
    for (Index t = step->next - 1; t < step->terms; t++) {
        Index x = links[t].x, w = is_plain ? x : links[t].w;
        if (is_forward ? !is_seen(compiler, w) || !is_seen(compiler, x) : !marks[w].place || !marks[x].place) {
            Index first = is_plain ? x : compiler->nodes[links[t].product].a;
            step->next = t + 1;
            return !is_seen(compiler, first) ? first : first == w ? x : w;
        }
        if (is_forward) continue;
        note_user(compiler, w, user);
        note_user(compiler, x, user);
        if (t == 0) note_user(compiler, step->start, user);
    }
    return 0;
}

// The same of other instructions. For the forward pass a take has all its items as operands, and a
// shift has its operand, to which it passes no gradient.
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

static void put_forward(Compiler *compiler, Index place) {
    if (compiler->places[place].is_ordered) return;
    compiler->places[place].is_ordered = 1;
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
    if (compiler->is_forward) put_forward(compiler, compiler->marks[step->node].place);
}

// depth first, in the order of the passes over the nodes; a dot is one step
static void walk(Compiler *compiler, Index root) {
    if (is_seen(compiler, root)) return;
    enter(compiler, root);
    while (compiler->nsteps && !compiler->has_failed) {
        Step *step = &compiler->steps[compiler->nsteps - 1];
        Index i = step->terms ? next_in_dot(compiler, step) : next_operand(compiler, step);
        if (i) {
            enter(compiler, i);
        } else {
            leave(compiler, step);
            compiler->nsteps--;
        }
    }
}

// undo the walk; the notes stay
static void undo_walk(Compiler *compiler) {
    Mark none = {0};
    for (Index k = 1; k <= compiler->n; k++) compiler->marks[compiler->places[k].node] = none;
    compiler->marks[0] = none;
    compiler->n = compiler->nlinks = 0;
    compiler->has_broken = 0;
}

void compiler_clear_marks(Compiler *compiler) {
    Note none = {0};
    if (compiler->has_failed || compiler->has_notes) {  // there may be marks and notes at nodes without a place
        Index nodes = compiler->nodes_room;
        memset(compiler->marks, 0, nodes * sizeof(Mark));
        memset(compiler->notes, 0, nodes * sizeof(Note));
        return;
    }
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) compiler->notes[choice->takes[j]] = none;
    }
    undo_walk(compiler);
}

// An order for the forward pass: that of the places, but what is below a shift, and the other items of
// a choice, have to come before the shift or take, with all that they are computed from.
static int walk_forward(Compiler *compiler, const Index *outputs, size_t n) {
    compiler->is_forward = 1;
    for (Index k = 1; k <= compiler->m; k++) {
        Index kind = compiler->places[k].kind;
        if (kind == OP_SHIFT || kind == OP_TAKE) walk(compiler, compiler->places[k].node);
        else put_forward(compiler, k);
    }
    for (size_t k = 0; k < n; k++) walk(compiler, outputs[k]);
    for (size_t c = 0; c < compiler->nchoices; c++) {  // also if no output uses the takes
        const Choice *choice = &compiler->choices[c];
        for (size_t k = 0; k < (size_t)choice->n * choice->width; k++) walk(compiler, choice->items[k]);
    }
    return !compiler->has_failed;
}

// Where something is no dot, walk again without it; the fourth time without any.
int compiler_walk(Compiler *compiler, const Index *outputs, size_t n) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            compiler->notes[choice->takes[j]].choice = (Index)c + 1;
            compiler->notes[choice->takes[j]].column = j;
        }
    }
    compiler->places = grown(compiler, compiler->places, 0, &compiler->room, sizeof(Place));
    compiler->links = grown(compiler, compiler->links, 0, &compiler->links_room, sizeof(Link));  // never NULL + 0
    if (compiler->has_failed) return 0;
    compiler->places[0] = (Place){0};
    for (int again = 0; again == 0 || compiler->has_broken; again++) {
        if (again > 0) undo_walk(compiler);
        compiler->is_without_dots = again == 3;
        walk(compiler, outputs[0]);
        if (compiler->has_failed) return 0;
    }
    compiler->m = compiler->n;
    if (!walk_forward(compiler, outputs, n)) return 0;
    if (compiler->flags & (NODE_REPLAYED | NODE_FUNCTION | NODE_USER)) return 0;
    for (Index k = 1; k <= compiler->n; k++) {  // a choice of another recording would not change this program
        const Node *node = &compiler->nodes[compiler->places[k].node];
        if (node->op == OP_TAKE && node->flags & NODE_CHOICE && !compiler->notes[compiler->places[k].node].choice)
            return 0;
    }
    return 1;
}

static inline void count_operand(const Compiler *compiler, Index operand, Index user, int is_adder) {
    Uses *uses = &compiler->uses[operand];
    uses->operands++;
    uses->adders += (Index)is_adder;
    if (is_adder) uses->user = user;
}

void compiler_find_uses(const Compiler *compiler) {
    const Mark *marks = compiler->marks;
    Place *places = compiler->places;
    for (Index k = 1; k <= compiler->n; k++) {
        Place *place = &places[k];
        const Node *node = &compiler->nodes[place->node];
        Link *links = compiler->links + place->first;
        int is_adder = k <= compiler->m && passes_on(place->kind), has_leaves = 1;
        if (place->kind == OP_LEAF) continue;  // its operand are moments
        for (Index t = 0; t < place->terms; t++) {
            links[t].w = marks[links[t].w].place;
            links[t].x = marks[links[t].x].place;
            count_operand(compiler, links[t].w, k, is_adder);
            count_operand(compiler, links[t].x, k, is_adder);
            has_leaves &= places[links[t].w].kind == OP_LEAF;
        }
        place->has_leaves = (uint8_t)has_leaves;
        place->a = marks[place->terms ? place->a : node->a].place;
        place->b = place->terms ? 0 : marks[node->b].place;
        count_operand(compiler, place->a, k, is_adder);
        count_operand(compiler, place->b, k, is_adder);
    }
}

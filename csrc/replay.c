// The replay: a recording compiled into a compact program.
//
// A pass over the nodes of a tape jumps from node to node. Here the numbers that a pass
// needs stand in arrays of their own, in the order in which it comes to them, and a neuron's
// sum, whose every product and partial sum is a node, is one instruction, a dot:
//
//     act = start
//     for wi, xi in zip(w, x):
//         act = act + wi*xi
//
// The products and sums inside have no place in the arrays. Each has one user, so that its
// gradient is its user's, and its data can be computed again from what does have a place.
// That is done when somebody asks: see replay_settle.

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"

enum { DOT = OP_FREE + 1, DENSE_DOT };  // beyond the operations of nodes

typedef struct Instruction {
    uint32_t op;
    Index out;    // slots
    Index a;      // of a dot: its start
    Index b;      // of a dot: its first term
    Index n;      // and how many there are
    Index w, x;   // a dense dot's first weight and input; the others follow them
} Instruction;

typedef struct Term {
    Index w, x;          // slots
    Index product, sum;  // the nodes
} Term;

// -----------------------------------------------------------------------------
// compiling

// what there is to know of a node, by its position in the order of the forward pass
typedef struct Place {
    Index slot;     // 0: it is inside a dot (before slots are numbered, 1: it is not)
    Index uses;     // how many operands it is
    Index terms;    // of the dot that ends here
    Index first;    // where they begin
} Place;

typedef struct Compiler {
    const Node *nodes;
    const Index *order;
    size_t n;
    Index *position;  // by node: where it is in the order
    Place *places;
    Replay *replay;
} Compiler;

static Place *place_of(const Compiler *compiler, Index i) {
    return &compiler->places[compiler->position[i]];
}

static Index slot_of(const Compiler *compiler, Index i) {
    return i ? place_of(compiler, i)->slot : 0;
}

static int is_inner(const Compiler *compiler, Index i) {
    return compiler->nodes[i].op != OP_LEAF;
}

static void count_uses(Compiler *compiler) {
    for (size_t k = 0; k < compiler->n; k++) {
        compiler->position[compiler->order[k]] = (Index)k;
        compiler->places[k].slot = 1;
    }
    for (size_t k = 0; k < compiler->n; k++) {
        const Node *node = &compiler->nodes[compiler->order[k]];
        if (node->op == OP_LEAF) continue;  // its operand is AdamW's
        if (node->a) place_of(compiler, node->a)->uses++;
        if (node->b) place_of(compiler, node->b)->uses++;
    }
}

// Find the dots. All that is inside a dot stands together in the order of backward, with
// nothing but leaves between: so no gradient is added to earlier or later than it would be.
static void find_dots(Compiler *compiler, const Index *order, size_t n) {
    const Node *nodes = compiler->nodes;
    Index last = 0, before = 0;  // the inner nodes ahead of this one
    for (size_t k = 0; k < n; k++) {
        Index i = order[k], a = nodes[i].a, b = nodes[i].b;
        if (!is_inner(compiler, i)) continue;
        if (nodes[i].op == OP_ADD && b == last && nodes[b].op == OP_MUL && place_of(compiler, b)->uses == 1) {
            Place *place = place_of(compiler, i), *start = place_of(compiler, a);
            int goes_on = a == before && start->terms && start->uses == 1;
            place->terms = goes_on ? start->terms + 1 : 1;
            place_of(compiler, b)->slot = 0;
            if (goes_on) start->slot = 0;
        }
        before = last;
        last = i;
    }
}

// Leaves first, then the ends of dots, then the others: so the inputs of a layer, which are
// the activations of the one before, stand side by side.
static void number_slots(Compiler *compiler) {
    Replay *replay = compiler->replay;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t k = 0; k < compiler->n; k++) {
            Place *place = &compiler->places[k];
            Index i = compiler->order[k];
            if (!place->slot || kind != (!is_inner(compiler, i) ? 0 : place->terms ? 1 : 2)) continue;
            place->slot = ++replay->slots;
            replay->nodes[place->slot] = i;
            place->first = replay->nterms;
            replay->nterms += place->terms;
        }
        if (kind == 0) replay->leaves = replay->slots;
    }
}

static int is_apart(Index a, Index n, Index b, Index m) {
    return a + n <= b || b + m <= a;
}

static Instruction compile_dot(Compiler *compiler, Index i) {
    const Node *nodes = compiler->nodes;
    Replay *replay = compiler->replay;
    Place *place = place_of(compiler, i);
    Index n = place->terms;
    Instruction dot = {.op = DOT, .out = place->slot, .b = place->first, .n = n};
    Term *terms = replay->terms + place->first;
    Index sum = i;
    for (Index k = n; k > 0; k--) {  // the sums lead back to the start
        Index product = nodes[sum].b;
        terms[k - 1] = (Term){slot_of(compiler, nodes[product].a), slot_of(compiler, nodes[product].b), product, sum};
        sum = nodes[sum].a;
    }
    dot.a = slot_of(compiler, sum);
    dot.w = terms[0].w;
    dot.x = terms[0].x;
    // where no two additions meet, their order is free
    int dense = is_apart(dot.w, n, dot.x, n) && is_apart(dot.a, 1, dot.w, n) && is_apart(dot.a, 1, dot.x, n);
    for (Index k = 1; k < n && dense; k++) dense = terms[k].w == dot.w + k && terms[k].x == dot.x + k;
    if (dense) dot.op = DENSE_DOT;
    return dot;
}

static Instruction *compile(Compiler *compiler, const Index *order, size_t n, Index *count) {
    Index instructions = 0;
    for (size_t k = 0; k < n; k++) {
        instructions += is_inner(compiler, order[k]) && place_of(compiler, order[k])->slot;
    }
    Instruction *code = malloc((instructions + 1) * sizeof *code);
    if (!code) return NULL;
    *count = 0;
    for (size_t k = 0; k < n; k++) {
        const Node *node = &compiler->nodes[order[k]];
        const Place *place = place_of(compiler, order[k]);
        if (!is_inner(compiler, order[k]) || !place->slot) continue;
        code[(*count)++] = place->terms ? compile_dot(compiler, order[k]) : (Instruction){
            .op = node->op, .out = place->slot, .a = slot_of(compiler, node->a), .b = slot_of(compiler, node->b)};
    }
    return code;
}

static int is_replayed(const Tape *tape, const Index *order, size_t n) {
    unsigned flags = 0;
    for (size_t k = 0; k < n; k++) flags |= tape->nodes[order[k]].flags;
    return (flags & NODE_REPLAYED) != 0;
}

// the nodes of the slots and terms beyond the leaves, the root excepted
static void mark_nodes(Tape *tape, const Replay *replay, uint8_t flag) {
    Node *nodes = tape->nodes;
    uint8_t rest = (uint8_t)~NODE_REPLAYED;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) {
        Node *node = &nodes[replay->nodes[slot]];
        node->flags = (node->flags & rest) | flag;
    }
    for (Index k = 0; k < replay->nterms; k++) {
        Node *product = &nodes[replay->terms[k].product], *sum = &nodes[replay->terms[k].sum];
        product->flags = (product->flags & rest) | flag;
        sum->flags = (sum->flags & rest) | flag;
    }
    nodes[replay->root].flags &= rest;
}

// how many slots and terms there will be, and room for them
static int reserve(Compiler *compiler) {
    Replay *replay = compiler->replay;
    size_t slots = 1, terms = 0;
    for (size_t k = 0; k < compiler->n; k++) {
        if (!compiler->places[k].slot) continue;
        slots++;
        terms += compiler->places[k].terms;
    }
    replay->nodes = malloc(slots * sizeof *replay->nodes);
    replay->data = calloc(slots, sizeof *replay->data);
    replay->spare = calloc(slots, sizeof *replay->spare);
    replay->grad = calloc(slots, sizeof *replay->grad);
    replay->terms = malloc((terms + 1) * sizeof *replay->terms);
    return replay->nodes && replay->data && replay->spare && replay->grad && replay->terms;
}

static int compile_all(Compiler *compiler, const Index *backward, size_t m) {
    Replay *replay = compiler->replay;
    if (!compiler->position || !compiler->places) return 0;
    count_uses(compiler);
    find_dots(compiler, backward, m);
    if (!reserve(compiler)) return 0;
    number_slots(compiler);
    replay->forward = compile(compiler, compiler->order, compiler->n, &replay->forwards);
    if (backward == compiler->order) {
        replay->backward = replay->forward;
        replay->backwards = replay->forwards;
    } else {
        replay->backward = compile(compiler, backward, m, &replay->backwards);
    }
    return replay->forward && replay->backward;
}

Replay *replay_new(Tape *tape, const Index *forward, size_t n, const Index *backward, size_t m) {
    if (is_replayed(tape, forward, n)) return NULL;
    Replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    Compiler compiler = {.nodes = tape->nodes, .order = forward, .n = n, .replay = replay};
    compiler.position = malloc(((size_t)tape->used + 1) * sizeof(Index));
    compiler.places = calloc(n, sizeof(Place));
    int compiled = compile_all(&compiler, backward, m);
    free(compiler.position);
    free(compiler.places);
    if (!compiled) {
        replay->slots = replay->nterms = 0;
        replay_free(tape, replay);
        return NULL;
    }
    replay->root = forward[n - 1];
    mark_nodes(tape, replay, NODE_REPLAYED);
    return replay;
}

void replay_free(Tape *tape, Replay *replay) {
    if (!replay) return;
    if (replay->slots) mark_nodes(tape, replay, 0);
    if (replay->backward != replay->forward) free(replay->backward);
    free(replay->forward);
    free(replay->terms);
    free(replay->nodes);
    free(replay->data);
    free(replay->spare);
    free(replay->grad);
    free(replay);
}

// -----------------------------------------------------------------------------
// forward

static int fault(Tape *tape, int code, const Instruction *code_at, const double *data, double out) {
    tape->fault = (Fault){.code = code, .op = (int)code_at->op, .operands = code_at->b ? 2 : 1,
                          .a = data[code_at->a], .b = data[code_at->b], .out = out};
    return -1;
}

static Index root_slot(const Replay *replay) {
    return replay->forward[replay->forwards - 1].out;
}

int replay_forward(Tape *tape, Replay *replay) {
    double *data = replay->spare;
    for (Index slot = 1; slot <= replay->leaves; slot++) data[slot] = tape->nodes[replay->nodes[slot]].data;
    const Instruction *end = replay->forward + replay->forwards;
    for (const Instruction *at = replay->forward; at < end; at++) {
        double act = data[at->a];
        switch (at->op) {
        case DENSE_DOT: {
            const double *w = data + at->w, *x = data + at->x;
            for (Index k = 0; k < at->n; k++) act = act + w[k] * x[k];
            break;
        }
        case DOT: {
            const Term *terms = replay->terms + at->b;
            for (Index k = 0; k < at->n; k++) act = act + data[terms[k].w] * data[terms[k].x];
            break;
        }
        default:
            if (!op_forward((Op)at->op, act, data[at->b], &act)) return fault(tape, FAULT_FORWARD, at, data, act);
        }
        data[at->out] = act;
    }
    replay->spare = replay->data;  // nothing failed: now these are the numbers
    replay->data = data;
    if (replay->holds == HOLDS_NOTHING) {
        replay->next_held = tape->held;
        tape->held = replay;
    }
    replay->holds = HOLDS_DATA;
    tape->nodes[replay->root].data = data[root_slot(replay)];
    tape->nodes[replay->root].grad = 0.0;
    return 0;
}

// -----------------------------------------------------------------------------
// backward

static int is_same(double x, double y) {
    return memcmp(&x, &y, sizeof x) == 0;
}

int replay_is_ready(const Tape *tape, const Replay *replay) {
    if (replay->holds != HOLDS_DATA) return 0;
    int same = is_same(tape->nodes[replay->root].data, replay->data[root_slot(replay)]);
    for (Index slot = 1; slot <= replay->leaves; slot++) {
        same &= is_same(tape->nodes[replay->nodes[slot]].data, replay->data[slot]);
    }
    return same;
}

// the terms from the last to the first; the start's turn is before the first
static void dot_backward(const Term *terms, Index n, Index start, const double *data, double *grad, double g) {
    for (Index k = n; k > 0; k--) {
        if (k == 1) grad[start] += g;
        Index w = terms[k - 1].w, x = terms[k - 1].x;
        grad[w] += data[x] * g;
        grad[x] += data[w] * g;
    }
}

static void dense_dot_backward(Index n, const double *restrict w, const double *restrict x,
                               double *restrict dw, double *restrict dx, double g) {
    for (Index k = 0; k < n; k++) {
        dw[k] += x[k] * g;
        dx[k] += w[k] * g;
    }
}

int replay_backward(Tape *tape, Replay *replay) {
    const double *data = replay->data;
    double *grad = replay->grad;
    Index leaves = replay->leaves;
    for (Index slot = 1; slot <= leaves; slot++) grad[slot] = tape->nodes[replay->nodes[slot]].grad;
    memset(grad + leaves + 1, 0, (replay->slots - leaves) * sizeof *grad);
    grad[root_slot(replay)] = 1.0;
    for (const Instruction *at = replay->backward + replay->backwards; at-- > replay->backward;) {
        double g = grad[at->out];
        switch (at->op) {
        case DENSE_DOT:
            grad[at->a] += g;
            dense_dot_backward(at->n, data + at->w, data + at->x, grad + at->w, grad + at->x, g);
            break;
        case DOT:
            dot_backward(replay->terms + at->b, at->n, at->a, data, grad, g);
            break;
        default:
            if (!op_backward((Op)at->op, data[at->a], data[at->b], data[at->out], g, &grad[at->a], &grad[at->b])) {
                return fault(tape, FAULT_BACKWARD, at, data, data[at->out]);
            }
        }
    }
    replay->holds = HOLDS_GRADIENTS;
    for (Index slot = 1; slot <= leaves; slot++) tape->nodes[replay->nodes[slot]].grad = grad[slot];
    tape->nodes[replay->root].grad = 1.0;
    return 0;
}

// -----------------------------------------------------------------------------
// settling

void replay_settle(Tape *tape, Replay *replay) {
    Node *nodes = tape->nodes, root = nodes[replay->root];
    const double *data = replay->data;
    int has_gradients = replay->holds == HOLDS_GRADIENTS;
    replay->holds = HOLDS_NOTHING;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) {
        Node *node = &nodes[replay->nodes[slot]];
        node->data = data[slot];
        node->grad = has_gradients ? replay->grad[slot] : 0.0;
    }
    for (Index i = 0; i < replay->forwards; i++) {
        const Instruction *dot = &replay->forward[i];
        if (dot->op != DOT && dot->op != DENSE_DOT) continue;
        double act = data[dot->a], g = has_gradients ? replay->grad[dot->out] : 0.0;
        for (Index k = 0; k < dot->n; k++) {
            const Term *term = &replay->terms[dot->b + k];
            double product = data[term->w] * data[term->x];
            act = act + product;
            nodes[term->product].data = product;
            nodes[term->product].grad = g;
            nodes[term->sum].data = act;
            nodes[term->sum].grad = g;
        }
    }
    nodes[replay->root].data = root.data;  // it may have been set since
    nodes[replay->root].grad = root.grad;
}

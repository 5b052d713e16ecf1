// Compiles a recording into the two programs of a replay.
//
// What makes them fast is that the same operation on many numbers is one loop. So instructions
// change places, but never so that a number changes: forward may compute in any order that has
// operands before their users; backward has to add to each gradient in the order in which the
// pass over the nodes does, for sums of floats depend on it.
//
//     1. find the dots (replay.h), the sums that make up most of a network
//     2. give each instruction a level: it depends on instructions of lower levels only
//     3. sort by level, then by operation, and make a batch of what is alike

#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "replay.h"

// what there is to know of a node, by its position in the order of the forward pass, from 1
typedef struct Place {
    Index node;
    Index slot;
    Index uses;      // how many operands it is,
    Index adders;    // and of how many nodes that pass a gradient on to it
    Index user;      // the first of those in the order of backward, by its position there, from 1
    Index terms;     // of the dot that ends here
    Index first;     // where they begin
    Index is_plain;  // its terms are no products
    Index inside;    // the sum of the dot that it is inside of; 0: it is an instruction
    Index end;       // the position of that dot's end in the order of backward, from 1
    Index level;     // of forward
    Index last;      // of backward: the level of the last instruction that adds to its gradient,
    uint64_t kind;   // and its kind
} Place;

// of the operands of a node, by its position in the order of backward, from 1
typedef struct Next {
    Index a, b;      // the position of the next node that has the same operand; 0: there is none
} Next;

// an instruction: those of one level and kind make a batch, in the order of their turns
typedef struct Task {
    Index level;
    Index turn;
    uint64_t kind;   // the operation; of a dot its length and its inputs, too
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

typedef struct Compiler {
    const Tape *tape;
    const Node *nodes;
    const Index *backward;  // the order
    size_t m;
    Place *places;          // of the forward order, and then of the other items of choices
    Index n;
    Index *place;           // by node; 0: it is not there
    Index *position;        // by node: in the order of backward, from 1; 0: it is not there
    Next *next;
    Link *links;            // of all dots, term by term
    Task *tasks;
    Index *where;           // by place: of the program made last, the instruction or dot
    const Choice *choices;
    size_t nchoices;
    Index *choice;          // by node of OP_TAKE: its choice, from 1
    Replay *replay;
} Compiler;

static Place *place_of(const Compiler *compiler, Index i) {
    return &compiler->places[compiler->place[i]];
}

static Index slot_of(const Compiler *compiler, Index i) {
    return i ? place_of(compiler, i)->slot : 0;
}

// the operand of a leaf is AdamW's, and nothing is computed from a list's
static int is_inner(const Node *node) {
    return node->op != OP_LEAF && node->op != OP_LIST;
}

// does it pass its gradient on to its operands?
static int passes_on(const Node *node) {
    return is_inner(node) && node->op != OP_SHIFT && node->op != OP_LARGER;
}

static int is_dot(const Place *place) {
    return place->terms && !place->inside;
}

static int is_instruction(const Compiler *compiler, const Place *place) {
    return is_inner(&compiler->nodes[place->node]) && !place->inside;
}

// -----------------------------------------------------------------------------
// the graph

static int add_place(Compiler *compiler, Index i) {
    if (compiler->place[i]) return 0;
    compiler->place[i] = ++compiler->n;
    compiler->places[compiler->n].node = i;
    return 1;
}

// Places of the forward order, and of the items that are not in it: those have to be leaves.
// A choice of another recording would not reach this program.
static int find_places(Compiler *compiler, const Index *forward, size_t n) {
    unsigned flags = 0;
    for (size_t k = 0; k < n; k++) {
        add_place(compiler, forward[k]);
        flags |= compiler->nodes[forward[k]].flags;
    }
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (size_t k = 0; k < (size_t)choice->n * choice->width; k++) {
            const Node *item = &compiler->nodes[choice->items[k]];
            flags |= item->flags;
            if (add_place(compiler, choice->items[k]) && item->op != OP_LEAF) return 0;
        }
        for (Index j = 0; j < choice->width; j++) compiler->choice[choice->takes[j]] = (Index)c + 1;
    }
    if (flags & NODE_REPLAYED) return 0;
    for (size_t k = 0; k < n; k++) {
        const Node *node = &compiler->nodes[forward[k]];
        if (node->op == OP_TAKE && node->flags & NODE_CHOICE && !compiler->choice[forward[k]]) return 0;
        if (!is_inner(node)) continue;
        place_of(compiler, node->a)->uses++;
        place_of(compiler, node->b)->uses++;
    }
    return 1;
}

// of a take: the items it may copy, each `stride` behind the one before; NULL: it is no choice
static const Index *items_of(const Compiler *compiler, Index take, Index *n, Index *stride) {
    Index choice = compiler->nodes[take].op == OP_TAKE ? compiler->choice[take] : 0, column = 0;
    if (!choice) return NULL;
    const Choice *chosen = &compiler->choices[choice - 1];
    while (chosen->takes[column] != take) column++;
    *n = chosen->n;
    *stride = chosen->width;
    return chosen->items + column;
}

static int find_next(Compiler *compiler) {
    Index *last = calloc((size_t)compiler->tape->used + 1, sizeof *last);
    if (!last) return 0;
    for (Index k = (Index)compiler->m; k > 0; k--) {
        Index i = compiler->backward[k - 1];
        const Node *node = &compiler->nodes[i];
        compiler->position[i] = k;
        place_of(compiler, i)->user = last[i];
        if (!passes_on(node)) continue;
        compiler->next[k] = (Next){last[node->a], last[node->b]};
        last[node->a] = last[node->b] = k;
        Index many, stride;
        const Index *items = items_of(compiler, i, &many, &stride);
        for (Index j = 0; items && j < many; j++) last[items[j * stride]] = k;  // it may be any of them
        place_of(compiler, node->a)->adders++;
        place_of(compiler, node->b)->adders++;
    }
    free(last);
    return 1;
}

// -----------------------------------------------------------------------------
// dots


static Link link_of(const Compiler *compiler, Index sum) {
    const Node *nodes = compiler->nodes;
    Index a = nodes[sum].a, b = nodes[sum].b, product = 0;
    if (nodes[b].op == OP_MUL && place_of(compiler, b)->inside == sum) product = b;
    else if (nodes[a].op == OP_MUL && place_of(compiler, a)->inside == sum) product = a;
    if (!product) return (Link){.sum = sum, .x = b, .before = a};
    Index w = nodes[product].a, x = nodes[product].b;
    int is_swapped = nodes[w].op != OP_LEAF && nodes[x].op == OP_LEAF;  // the weights are leaves
    return (Link){sum, product, is_swapped ? x : w, is_swapped ? w : x, product == b ? a : b};
}

static int is_product(const Compiler *compiler, Index i) {
    return compiler->nodes[i].op == OP_MUL && place_of(compiler, i)->uses == 1;
}

// sum = before + product, or before + x, or product + number as sums in Python begin
static void find_sum(Compiler *compiler, Index sum) {
    Index a = compiler->nodes[sum].a, b = compiler->nodes[sum].b;
    Place *place = place_of(compiler, sum), *before = place_of(compiler, a);
    if (is_product(compiler, b)) {
        place_of(compiler, b)->inside = sum;
    } else if (is_product(compiler, a) && compiler->nodes[b].op == OP_LEAF) {
        before->inside = sum;
    } else {
        place->is_plain = 1;
    }
    int goes_on = before->terms && before->uses == 1 && before->is_plain == place->is_plain;
    if (goes_on) before->inside = sum;
    place->terms = goes_on ? before->terms + 1 : 1;
}

// does nothing add to an operand's gradient between its user's turn and the dot's?
static int is_free_until(const Compiler *compiler, Index next, Index end) {
    if (next == 0 || next > end) return 1;
    return place_of(compiler, compiler->backward[next - 1])->end == end;  // inside, the order is kept
}

// All of a dot is computed at its end's turn. In backward that comes before the turns of the
// nodes inside, so nothing may be added in between to what those add to.
static int can_be_dot(const Compiler *compiler, Index sum, Index terms, Index end) {
    const Next *next = compiler->next;
    if (terms == 1 && !link_of(compiler, sum).product) return 0;  // an addition like others
    for (Index k = terms; k > 0; k--) {
        Link link = link_of(compiler, sum);
        Next of_sum = next[compiler->position[sum]];
        if (link.product) {
            Next of_product = next[compiler->position[link.product]];
            if (!is_free_until(compiler, of_product.a, end) || !is_free_until(compiler, of_product.b, end)) return 0;
        } else if (!is_free_until(compiler, of_sum.b, end)) {
            return 0;
        }
        int is_a = link.before == compiler->nodes[sum].a;
        if (k == 1 && !is_free_until(compiler, is_a ? of_sum.a : of_sum.b, end)) return 0;
        sum = link.before;
    }
    return 1;
}

// the nodes of a dot get its end, or become instructions again
static void mark_dot(Compiler *compiler, Index sum, Index terms, Index end) {
    for (; terms > 0; terms--) {
        Link link = link_of(compiler, sum);
        place_of(compiler, sum)->end = end;
        if (link.product) place_of(compiler, link.product)->end = end;
        if (!end) {
            place_of(compiler, sum)->inside = place_of(compiler, sum)->terms = 0;
            if (link.product) place_of(compiler, link.product)->inside = 0;
        }
        sum = link.before;
    }
}

static void find_dots(Compiler *compiler) {
    for (size_t k = 0; k < compiler->m; k++) {
        if (compiler->nodes[compiler->backward[k]].op == OP_ADD) find_sum(compiler, compiler->backward[k]);
    }
    for (Index k = (Index)compiler->m; k > 0; k--) {
        Index i = compiler->backward[k - 1];
        const Place *place = place_of(compiler, i);
        if (!is_dot(place)) continue;
        mark_dot(compiler, i, place->terms, k);
        if (!can_be_dot(compiler, i, place->terms, k)) mark_dot(compiler, i, place->terms, 0);
    }
}

// the terms of all dots
static int list_links(Compiler *compiler) {
    Index n = 0;
    for (Index k = 1; k <= compiler->n; k++) {
        Place *place = &compiler->places[k];
        place->first = n;
        if (is_dot(place)) n += place->terms;
    }
    compiler->replay->nterms = n;
    compiler->links = malloc(((size_t)n + 1) * sizeof(Link));
    if (!compiler->links) return 0;
    for (Index k = 1; k <= compiler->n; k++) {
        const Place *place = &compiler->places[k];
        Index sum = place->node;
        for (Index t = is_dot(place) ? place->terms : 0; t > 0; t--) {
            Link *link = &compiler->links[place->first + t - 1];
            *link = link_of(compiler, sum);
            sum = link->before;
        }
    }
    return 1;
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
        Index terms = is_dot(place) ? place->terms : 0;
        for (Index t = 0; t < terms; t++) number_leaf(compiler, links[t].w, 0);
        for (Index t = 0; t < terms; t++) number_leaf(compiler, links[t].x, 0);
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

static uint64_t kind_of(const Compiler *compiler, const Place *place) {
    const Link *first = compiler->links + place->first;
    if (!place->terms) return compiler->nodes[place->node].op;
    if (!first->product) return (uint64_t)DOTS << 56;
    return (uint64_t)ROWS << 56 | (uint64_t)(place->terms & 0xffffff) << 32 | compiler->place[first->x];
}

static int compare_tasks(const void *first, const void *second) {
    const Task *a = first, *b = second;
    if (a->level != b->level) return a->level < b->level ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return a->turn < b->turn ? -1 : 1;
}

typedef void Visit(const Compiler *compiler, Task *task, Index operand);

// do something with each operand of an instruction
static void visit_operands(const Compiler *compiler, Task *task, Visit *visit) {
    const Place *place = &compiler->places[task->place];
    const Node *node = &compiler->nodes[place->node];
    Index n, stride;
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

static void put_forward(Compiler *compiler, Index place, Index *n) {
    Task *task = &compiler->tasks[*n];
    *task = (Task){.level = 1, .turn = place, .kind = kind_of(compiler, &compiler->places[place]), .place = place};
    if (is_dot(&compiler->places[place])) task->turn = compiler->links[compiler->places[place].first].w;  // rows as they were made
    visit_operands(compiler, task, rise_above);
    compiler->places[place].level = task->level;
    ++*n;
}

static Index forward_tasks(Compiler *compiler) {
    Index n = 0;
    for (Index k = 1; k <= compiler->n; k++) {
        if (is_instruction(compiler, &compiler->places[k])) put_forward(compiler, k, &n);
    }
    qsort(compiler->tasks, n, sizeof(Task), compare_tasks);
    return n;
}

// What adds to the same gradient as another one before gets a higher level, or the same if it is
// in the same batch, which keeps the order.
static void come_after(const Compiler *compiler, Task *task, Index operand) {
    const Place *place = place_of(compiler, operand);
    Index least = place->last + (place->last && place->kind != task->kind);
    if (task->level < least) task->level = least;
}

static void note(const Compiler *compiler, Task *task, Index operand) {
    place_of(compiler, operand)->last = task->level;
    place_of(compiler, operand)->kind = task->kind;
}

static void put_backward(Compiler *compiler, Index i, Index *n) {
    const Place *place = place_of(compiler, i);
    if (!passes_on(&compiler->nodes[i]) || place->inside) return;
    Task *task = &compiler->tasks[*n];
    *task = (Task){.level = place->last + 1, .turn = *n, .kind = kind_of(compiler, place), .place = compiler->place[i]};
    visit_operands(compiler, task, come_after);
    visit_operands(compiler, task, note);
    ++*n;
}

// the take of a choice among inner nodes
static int is_early(const Compiler *compiler, Index i) {
    Index n, stride;
    const Index *items = items_of(compiler, i, &n, &stride);
    return items && compiler->nodes[*items].op != OP_LEAF;
}

// The turn of a take among inner nodes must not depend on which of them it copies: it comes right
// after its user's. See find_rows.
static Index backward_tasks(Compiler *compiler) {
    Index n = 0;
    for (size_t k = compiler->m; k > 0; k--) {
        Index i = compiler->backward[k - 1], a = compiler->nodes[i].a, b = compiler->nodes[i].b;
        if (is_early(compiler, i)) continue;
        put_backward(compiler, i, &n);
        if (!passes_on(&compiler->nodes[i])) continue;
        if (is_early(compiler, a)) put_backward(compiler, a, &n);
        if (b != a && is_early(compiler, b)) put_backward(compiler, b, &n);
    }
    qsort(compiler->tasks, n, sizeof(Task), compare_tasks);
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

// do the rows of a batch and the dot add to different weights?
static int is_row(const Batch *batch, const Dot *rows, const Dot *dot) {
    if (batch->op != ROWS || batch->length != dot->n || rows->x != dot->x) return 0;
    for (Index k = 0; k < batch->n; k++) {
        if (!is_apart(rows[k].w, dot->n, dot->w, dot->n)) return 0;
        if (!is_apart(rows[k].start, 1, dot->w, dot->n) || !is_apart(dot->start, 1, rows[k].w, dot->n)) return 0;
    }
    return 1;
}

static void put_dot(Program *program, const Dot *dot, const Term *terms, int is_new) {
    Batch *batch = program->batches + program->nbatches - 1;
    int dense = is_dense(dot, terms);
    if (is_new || !(dense ? is_row(batch, program->dots + batch->first, dot) : batch->op == DOTS)) {
        *++batch = (Batch){.op = dense ? ROWS : DOTS, .first = program->ndots, .length = dot->n};
        program->nbatches++;
    }
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
            put_dot(program, &dot, compiler->replay->terms + dot.terms, is_new);
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

// The one operand of a node that leads on to a row; 0: there is none, or more than one. Numbers
// of this node alone and shifts may be beside it.
static Index lead_on(const Compiler *compiler, Index i) {
    Index found = 0, operands[] = {compiler->nodes[i].a, compiler->nodes[i].b};
    for (int k = 0; k < 2; k++) {
        if (!operands[k]) continue;
        Place *place = place_of(compiler, operands[k]);
        Index op = compiler->nodes[operands[k]].op;
        if (op == OP_SHIFT || (op == OP_LEAF && place->uses == 1 && is_private(compiler, place))) continue;
        if (found || op == OP_LEAF || place->adders != 1) return 0;
        found = operands[k];
    }
    return found;
}

// the row that an item is computed from; 0: there is none that is known to be its own
static Index row_below(const Compiler *compiler, Index item) {
    Index row = item;
    while (row && !place_of(compiler, row)->terms) row = lead_on(compiler, row);
    if (!row || place_of(compiler, row)->inside) return 0;
    const Place *place = place_of(compiler, row);
    const Link *links = compiler->links + place->first;
    for (Index k = 0; k < place->terms; k++) {  // weights and bias are leaves
        if (!links[k].product || compiler->nodes[links[k].w].op != OP_LEAF) return 0;
    }
    return compiler->nodes[links->before].op == OP_LEAF ? row : 0;
}

// Are the items added up in order, and is that all that uses them besides the take? Does the walk
// come to the sum after the take, and backward after the take's only user? And does forward compute
// all items before the take?
static int are_summed(const Compiler *compiler, const Choice *choice) {
    const Node *nodes = compiler->nodes;
    Index take = choice->takes[0], chosen = choice->items[choice->chosen];
    Index last = choice->items[choice->n - 1];
    Index user = last == chosen ? compiler->next[compiler->position[take]].a : place_of(compiler, last)->user;
    if (!user || nodes[compiler->backward[user - 1]].op != OP_ADD) return 0;
    Index end = place_of(compiler, compiler->backward[user - 1])->end;
    if (!end) return 0;
    const Place *sum = place_of(compiler, compiler->backward[end - 1]);
    const Link *links = compiler->links + sum->first;
    Index k = links->before == choice->items[0];
    if (compiler->position[links->sum] < compiler->position[take]) return 0;
    if (place_of(compiler, take)->adders != 1 || place_of(compiler, take)->user < end) return 0;
    for (Index t = 0; t < sum->terms; t++) {
        if (links[t].product) return 0;
        if (nodes[links[t].x].op == OP_LEAF) continue;
        if (k == choice->n || links[t].x != choice->items[k++]) return 0;
    }
    for (Index j = 0; j < choice->n && k == choice->n; j++) {
        Index item = choice->items[j];
        if (place_of(compiler, item)->adders != 1u + (item == chosen)) return 0;
        if (place_of(compiler, item)->level >= place_of(compiler, take)->level) return 0;
    }
    return k == choice->n;
}

static int find_rows(Compiler *compiler, const Choice *choice, Switch *chooser) {
    const Program *program = &compiler->replay->backward;
    Index lowest = program->ndots, highest = 0;
    if (choice->width != 1 || !are_summed(compiler, choice)) return 0;
    chooser->rows = malloc(choice->n * sizeof(Dot));
    if (!chooser->rows) return 0;
    for (Index k = 0; k < choice->n; k++) {
        Index row = row_below(compiler, choice->items[k]);
        if (!row) return 0;
        Index at = compiler->where[compiler->place[row]];
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
        if (batch->op == ROWS && batch->first <= lowest && highest < batch->first + batch->n) return 1;
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
            Index take = compiler->place[choice->takes[j]];
            chooser->forward[j] = forward[take] != NOWHERE ? forward[take] : replay->forward.ninstructions;
            chooser->backward[j] = compiler->where[take] != NOWHERE ? compiler->where[take] : replay->backward.ninstructions;
        }
        if (leaves != (int)n && (leaves || !find_rows(compiler, choice, chooser))) return 0;
    }
    return 1;
}

// -----------------------------------------------------------------------------
// the whole

// room for as many slots and terms as there can be
static int reserve(Compiler *compiler) {
    Replay *replay = compiler->replay;
    size_t slots = 1;
    for (Index k = 1; k <= compiler->n; k++) {
        const Place *place = &compiler->places[k];
        slots += !place->inside;
    }
    replay->nodes = malloc(slots * sizeof(Index));
    replay->spans = malloc(slots * sizeof(Span));
    replay->data = calloc(3 * slots, sizeof(double));   // and room for the outputs while it settles
    replay->spare = calloc(3 * slots, sizeof(double));
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

static int compile(Compiler *compiler, const Index *forward, size_t n, const Index *outputs, size_t noutputs) {
    Replay *replay = compiler->replay;
    size_t nodes = (size_t)compiler->tape->used + 1, most = n;
    for (size_t c = 0; c < compiler->nchoices; c++) most += (size_t)compiler->choices[c].n * compiler->choices[c].width;
    compiler->place = calloc(nodes, sizeof(Index));
    compiler->position = calloc(nodes, sizeof(Index));
    compiler->choice = calloc(nodes, sizeof(Index));
    compiler->places = calloc(most + 1, sizeof(Place));
    compiler->next = calloc(compiler->m + 1, sizeof(Next));
    compiler->tasks = malloc((most + 1) * sizeof(Task));
    compiler->where = malloc(2 * (most + 1) * sizeof(Index));
    if (!compiler->place || !compiler->position || !compiler->choice || !compiler->places
        || !compiler->next || !compiler->tasks || !compiler->where) return 0;
    memset(compiler->where, 0xff, 2 * (most + 1) * sizeof(Index));
    if (!find_places(compiler, forward, n) || !find_next(compiler)) return 0;
    find_dots(compiler);
    for (size_t k = 0; k < noutputs; k++) {  // an output has to have a slot
        if (place_of(compiler, outputs[k])->inside) return 0;
    }
    if (!list_links(compiler) || !reserve(compiler)) return 0;
    number_shared(compiler);
    find_spans(replay);
    Index ntasks = forward_tasks(compiler);
    number_private(compiler, ntasks);
    for (Index k = 0; k < ntasks; k++) put_slot(compiler, &compiler->places[compiler->tasks[k].place]);
    make_terms(compiler);
    if (!put_outputs(compiler, outputs, noutputs) || !make_program(compiler, &replay->forward, ntasks)) return 0;
    Index *in_forward = compiler->where;
    compiler->where += most + 1;
    int made = make_program(compiler, &replay->backward, backward_tasks(compiler)) && make_switches(compiler, in_forward);
    compiler->where = in_forward;
    return made;
}

// the nodes beyond the leaves that others see, the outputs excepted
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
    nodes[0].flags &= rest;
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags &= rest;
}

Replay *replay_new(Tape *tape, const Index *forward, size_t n, const Index *backward, size_t m,
                   const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices) {
    Replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    Compiler compiler = {.tape = tape, .nodes = tape->nodes, .backward = backward, .m = m,
                         .choices = choices, .nchoices = nchoices, .replay = replay};
    int compiled = compile(&compiler, forward, n, outputs, noutputs);
    free(compiler.place);
    free(compiler.position);
    free(compiler.choice);
    free(compiler.places);
    free(compiler.next);
    free(compiler.tasks);
    free(compiler.links);
    free(compiler.where);
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

// Compiles a graph into the two programs of a replay (replay.h): one forward, one backward. It is a
// root's graph, at the second forward(), or that of a recorded function.
//
// A program is fast because the same operation on many numbers is one loop, a batch. So the compiler
// changes the order of instructions, but never so that a bit changes: forward may compute in any
// order that has operands before their users; backward has to add to each gradient in the order in
// which the pass over the nodes does, since a sum of floats depends on it.
//
//     compile_walk.c      the graph as a list of instructions, operands first; sums of products are dots
//     compile.c           this file: memory; a slot for each number, so that a batch reads neighbours
//     compile_tasks.c     the instructions of a pass, sorted: what can be done together is together
//     compile_programs.c  batches of these; and of batches of dots with one matrix, grids
//     compile_choices.c   what changes in the programs when a choice takes another item
//
// Two neurons, [tanh(b0 + w0*x + w1*y), tanh(b1 + w2*x + w3*y)], are ten instructions on the tape, and
// two batches here: two dots, then two tanh; backward has two batches, too, the tanh first.

#include <stdlib.h>
#include <string.h>
#include "compile.h"

// -----------------------------------------------------------------------------
// memory

// What a compilation works in is kept with the tape for the next one: without that, a first call of a
// recorded function takes a third longer.
enum { MOST_KEPT = 1 << 24 };  // bytes

// A compiler with the memory that the tape has kept, and a mark for each node; 0 without memory.
static int compiler_open(Compiler *compiler, Tape *tape, const Choice *choices, size_t nchoices, Replay *replay) {
    if (!tape->compiler) tape->compiler = calloc(1, sizeof *tape->compiler);
    const Compiler *kept = tape->compiler;
    if (!kept) return 0;
    *compiler = (Compiler){
        .tape = tape,
        .nodes = tape->nodes,
        .choices = choices,
        .nchoices = nchoices,
        .replay = replay,
        .marks = kept->marks,
        .notes = kept->notes,
        .nodes_room = kept->nodes_room,
        .places = kept->places,
        .room = kept->room,
        .links = kept->links,
        .links_room = kept->links_room,
        .steps = kept->steps,
        .steps_room = kept->steps_room,
        .forward = kept->forward,
        .forward_room = kept->forward_room,
        .block = kept->block,
        .block_size = kept->block_size,
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
    size_t counts = 2 * n + KINDS + 2;  // there are levels without instructions
    size_t size = n * (sizeof(Adder) + sizeof(Uses) + sizeof(Seen) + 2 * sizeof(Task) + 3 * sizeof(Index))
        + counts * sizeof(Index);
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
    memset(compiler->slots, 0, n * sizeof(Index));
    memset(compiler->where, 0xff, 2 * n * sizeof(Index));
    return 1;
}

static void compiler_close(Compiler *compiler) {
    if (compiler->nodes_room) compiler_clear_marks(compiler);
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

// the replay's memory: room for as many slots and terms as there can be, in one block
static int reserve(Compiler *compiler, size_t noutputs) {
    Replay *replay = compiler->replay;
    size_t slots = (size_t)compiler->n + 1, numbers = slots + 2 * noutputs;  // room for replay_settle
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
    replay->data[0] = replay->spare[0] = 1.0;  // slot 0: the weight of a term without product
    return 1;
}

// -----------------------------------------------------------------------------
// slots: leaves that others see, then private leaves, then what is computed

static inline void put_slot(Compiler *compiler, Index place) {
    Replay *replay = compiler->replay;
    if (compiler->slots[place]) return;
    compiler->slots[place] = ++replay->slots;
    replay->nodes[replay->slots] = compiler->places[place].node;
}

// Does nothing but this graph use it? Then its gradient may be in the replay alone, until that is settled.
static inline int is_private(const Compiler *compiler, Index place) {
    const Node *node = &compiler->nodes[compiler->places[place].node];
    int has_moments = node->op == OP_LEAF && node->a;  // an optimiser reads and writes them
    return node->refs == compiler->uses[place].operands && !(node->flags & NODE_WATCHED) && !has_moments;
}

static inline void number_leaf(Compiler *compiler, Index place, int privates) {
    if (!place || compiler->slots[place] || compiler->places[place].kind != OP_LEAF) return;
    if (privates || !is_private(compiler, place)) put_slot(compiler, place);
}

// has it a slot, or will it get one as an instruction?
static int is_numbered(const Compiler *compiler, Index place) {
    return compiler->slots[place] || compiler->places[place].kind != OP_LEAF;
}

// The factors of a dot. (If the first and the last have a slot, as in rows that are used again, so
// have the others, as a rule: no need to look at each. Any that has none gets one with the leaves
// that are left.)
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

// Leaves that are not private: rows of choices side by side, then the factors of each dot side by side,
// then the others in the order in which they are used.
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

// Private leaves, in the order in which the batches of the forward pass read them.
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

// leaves that are neighbours on the tape and in the replay: copied by one memcpy
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

// the outputs' slots, without outputs that are leaves
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

// -----------------------------------------------------------------------------
// the whole

static int compile(Compiler *compiler, const Index *outputs, size_t noutputs) {
    Replay *replay = compiler->replay;
    if (!compiler_walk(compiler, outputs, noutputs) || !reserve_block(compiler) || !reserve(compiler, noutputs))
        return 0;
    compiler_find_uses(compiler);
    if (!compiler_takes_are_used_once(compiler)) return 0;

    number_shared(compiler);
    find_spans(replay);
    Index ntasks = compiler_forward_tasks(compiler);
    number_private(compiler, ntasks);
    for (Index k = 0; k < ntasks; k++) put_slot(compiler, compiler->tasks[k].place);
    if (!put_outputs(compiler, outputs, noutputs)) return 0;

    compiler_make_terms(compiler);
    if (!compiler_make_program(compiler, &replay->forward, ntasks)) return 0;
    const Index *in_forward = compiler->where;
    compiler->where += compiler->n + 1;
    if (!compiler_make_program(compiler, &replay->backward, compiler_backward_tasks(compiler))) return 0;
    if (!compiler_make_switches(compiler, in_forward)) return 0;
    compiler_make_grids(replay, &replay->forward, 0);
    compiler_make_grids(replay, &replay->backward, 1);
    return 1;
}

static inline void set_flag(Node *node, uint8_t flag) {
    node->flags = (node->flags & (uint8_t)~NODE_REPLAYED) | flag;
}

// Set or clear NODE_REPLAYED of all nodes whose numbers may be only in the replay: not of leaves that
// others see, nor of the outputs, which another replay may compute, too.
static void mark_nodes(Tape *tape, const Replay *replay, uint8_t flag) {
    Node *nodes = tape->nodes;
    nodes[0].flags = NODE_VISITED;
    for (Index i = 0; i < replay->noutputs; i++) nodes[replay->nodes[replay->outputs[i]]].flags |= NODE_VISITED;
    for (Index slot = replay->leaves + 1; slot <= replay->slots; slot++) {
        Node *node = &nodes[replay->nodes[slot]];
        if (!(node->flags & NODE_VISITED)) set_flag(node, flag);
    }
    for (Index i = 0; i < replay->forward.ndots; i++) {  // nothing inside of a dot is an output
        const Term *terms = replay->terms + replay->forward.dots[i].terms;
        Index n = replay->forward.dots[i].n;
        for (Index k = 0; k < n && terms->product; k++) set_flag(&nodes[terms[k].product], flag);
        for (Index k = 0; k + 1 < n; k++) set_flag(&nodes[terms[k].sum], flag);
    }
    for (Index i = 0; i < replay->noutputs; i++)
        nodes[replay->nodes[replay->outputs[i]]].flags &= (uint8_t)~NODE_VISITED;
}

Replay *replay_new(Tape *tape, const Index *outputs, size_t noutputs, const Choice *choices, size_t nchoices) {
    Replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    Compiler compiler = {.tape = NULL};
    int compiled = compiler_open(&compiler, tape, choices, nchoices, replay) && compile(&compiler, outputs, noutputs);
    if (compiler.tape) compiler_close(&compiler);
    if (!compiled) {
        replay_free(replay);
        return NULL;
    }
    mark_nodes(tape, replay, NODE_REPLAYED);
    for (size_t c = 0; c < nchoices; c++) replay_choose(replay, c, choices[c].chosen);
    return replay;
}

static void program_free(Program *program) {
    free(program->batches);
    free(program->instructions);
    free(program->dots);
}

void replay_unmark(Tape *tape, const Replay *replay) {
    mark_nodes(tape, replay, 0);
}

void replay_free(Replay *replay) {
    if (!replay) return;
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

// Makes a program of the tasks of a pass, which are sorted: each run of the same level and kind becomes
// a batch. Dots are batches by how their factors stand in the replay's arrays:
//
//     DOTS     anywhere, each term with two slots of its own
//     DENSE    the weights side by side, and the inputs, too
//     ROWS     dense, and all with the same inputs: rows of a matrix times a vector
//     GRID     the same rows times several vectors
//
// So for out = [W @ x, W @ y], where W has 8 rows of 16 weights, the 16 dots are one grid of 8 rows and
// 2 vectors.

#include <stdlib.h>
#include "compile.h"

// -----------------------------------------------------------------------------
// dots, and rows of a matrix

void compiler_make_terms(const Compiler *compiler) {
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
    return (Dot){.out = compiler->slots[place],
                 .start = compiler->slots[start],
                 .w = terms->w,
                 .x = terms->x,
                 .n = compiler->places[place].terms,
                 .terms = first};
}

// Do the weights stand side by side, and the inputs, too? Backward's loop over them adds in another
// order than term by term, so there no slot may be in two places.
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

// the slots of the rows of a batch: of their weights, and of their starts
typedef struct Rows {
    Index low, high;              // from the first weight to beyond the last
    Index low_start, high_start;
} Rows;

// Can a dot join a batch of rows? It must have the same inputs, as many, and share no weight with a
// row, nor have a start among the weights. Only if the slots are not beyond those of the batch, each
// row is compared.
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

// Too few rows become dense dots: one in backward; fewer than four in forward, whose loop takes four
// rows at a time. Then neighbouring batches of dense dots of one length, or of other dots, are joined
// if they have the same level.
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

// -----------------------------------------------------------------------------
// other instructions

static void put_instruction(Program *program, Index op, Instruction instruction, int is_new) {
    if (is_new) program->batches[program->nbatches++] = (Batch){.op = op, .first = program->ninstructions};
    program->batches[program->nbatches - 1].n++;
    program->instructions[program->ninstructions++] = instruction;
}

static int is_run(const Instruction *at, Index n) {
    Index apart = 0, step = at->b ? 1 : 0;
    for (Index i = 0; i < n; i++)
        apart |= (at[i].out - at->out - i) | (at[i].a - at->a - i) | (at[i].b - at->b - step * i);
    return !apart;
}

static void reverse(Instruction *at, Index n) {
    for (Instruction *low = at, *high = at + n - 1; low < high; low++, high--) {
        Instruction swapped = *low;
        *low = *high;
        *high = swapped;
    }
}

// The order within a batch is free if no two instructions have a slot in common, and so it is if the
// slots follow one another. In backward they do from the last to the first.
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

// -----------------------------------------------------------------------------
// a program

// compiler->where gets the instruction or dot of each place
int compiler_make_program(Compiler *compiler, Program *program, Index n) {
    Rows rows = {0, 0, 0, 0};
    int is_backward = program == &compiler->replay->backward;
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
            put_dot(program, &rows, &dot, compiler->replay->terms + dot.terms, task->level, is_new, is_backward);
        } else {
            Instruction instruction = {compiler->slots[task->place], compiler->slots[place->a],
                                       compiler->slots[place->b]};
            compiler->where[task->place] = program->ninstructions;
            put_instruction(program, place->kind, instruction, is_new);
        }
    }
    find_runs(program);
    merge_rows(program, is_backward);
    return 1;
}

// -----------------------------------------------------------------------------
// grids
//
// Rows of a matrix times many vectors: the matrix is read once for all of them. That changes the
// order of the dots, but not the order of the additions to one weight, or to one vector's gradient.

// from the lowest slot to beyond the highest
typedef struct Range {
    Index low, high;
} Range;

static void extend(Range *range, Index slot, Index n) {
    if (range->low == range->high) *range = (Range){slot, slot + n};
    if (slot < range->low) range->low = slot;
    if (slot + n > range->high) range->high = slot + n;
}

// Does a choice change the order of these rows? (replay_choose)
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
    if (batch->op != ROWS || batch->level != grid->level || batch->n != grid->n || batch->length != grid->length)
        return 0;
    for (Index i = 0; i < batch->n; i++) {
        if (rows[i].w != dots[i].w) return 0;
    }
    return 1;
}

// how many batches, from the i-th on, can be one grid
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

// do the results stand side by side, and the starts, too?
static int are_neighbours(const Dot *dots, Index n) {
    Index apart = 0;
    for (Index i = 0; i < n; i++) apart |= (dots[i].out - dots->out - i) | (dots[i].start - dots->start - i);
    return !apart;
}

void compiler_make_grids(const Replay *replay, Program *program, int is_backward) {
    Index n = 0;
    for (Index i = 0, times; i < program->nbatches; i += times) {
        times = grid_size(replay, program, i, is_backward);
        program->batches[n] = program->batches[i];
        if (times > 1) {
            program->batches[n].op = GRID;
            program->batches[n].times = times;
            program->batches[n].is_run =
                are_neighbours(program->dots + program->batches[i].first, times * program->batches[i].n);
        }
        n++;
    }
    program->nbatches = n;
}

// Sorts the instructions of a pass, its tasks, so that those of the same kind that do not depend on
// each other stand side by side: they become a batch (compile_programs.c).
//
// A task depends on tasks of lower levels only; tasks are sorted by level, then by kind. Levels come in
// phases: the dots of a phase are its last level. So what one matrix does to many vectors is
// together, even if some vectors took more steps than others:
//
//     u = exp(x);  v = exp(exp(y));  out = [tanh(dot(w, u)), tanh(dot(w, v))]
//
//     phase 0   level 0: exp(y)    level 1: exp(x), exp(exp(y))    level 2: both dots
//     phase 1   level 3: both tanh
//
// Forward: a task's level is counted from the end of its phase, so that exp(x) is as late as it can
// be. Backward: a gradient's sum depends on the order of its additions, so of two tasks that add to
// the same gradient the second, in the order of the pass over the nodes, has a higher level, or is
// after the other in the same batch.

#include <stdlib.h>
#include <string.h>
#include "compile.h"

// -----------------------------------------------------------------------------
// levels of all phases, and sorting

// Levels that count within each phase, from 1, become levels of the whole pass. They count from the
// start of the phase, or from its end if is_late; those of dots are not used.
static void join_phases(Compiler *compiler, Task *tasks, Index n, int is_late) {
    Index *dots = compiler->counts;  // by phase: how many other levels it has, then the level of its dots
    Index phases = 0, start = 0;
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

// counting sort by level, or by kind; it is stable
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

// -----------------------------------------------------------------------------
// forward

// a phase after that of its operand if that is a dot, else at least the same one
static inline void raise_phase(const Compiler *compiler, Task *task, Index operand) {
    const Place *place = &compiler->places[operand];
    Index phase = place->phase + (place->kind == PRODUCTS);
    if (task->phase < phase) task->phase = phase;
}

// an operand's level, counted from the end: before its user's
static inline void raise_level(const Compiler *compiler, Task *task, Index operand) {
    Place *place = &compiler->places[operand];
    if (place->phase == task->phase && place->level <= task->level) place->level = task->level + 1;
}

static inline Task forward_task(const Compiler *compiler, Index k) {
    Place *place = &compiler->places[k];
    Task task = {.kind = place->kind, .place = k};
    visit_operands(compiler, &task, 0, raise_phase);
    place->phase = task.phase;
    place->level = place->kind != PRODUCTS;
    return task;
}

// a dot of a level, with its sort keys; it uses the memory of a Task
typedef struct Row {
    uint64_t inputs;   // how many terms, and the first input
    uint64_t weights;  // the first weight, and the place
} Row;

static int compare_rows(const void *first, const void *second) {
    const Row *a = first, *b = second;
    if (a->inputs != b->inputs) return a->inputs < b->inputs ? -1 : 1;
    return a->weights < b->weights ? -1 : 1;
}

// Sort dots of one level by length, then by inputs, then by weights: so the rows of a matrix are side
// by side, in the order in which the matrix has them.
static void sort_rows(const Compiler *compiler, Task *tasks, Index n) {
    Row *rows = (Row *)(void *)compiler->spare;
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

Index compiler_forward_tasks(Compiler *compiler) {
    Index n = compiler->nforward;
    for (Index k = 0; k < n; k++) compiler->tasks[k] = forward_task(compiler, compiler->forward[k]);
    for (Index k = n; k > 0; k--) {
        Task task = compiler->tasks[k - 1];
        task.level = compiler->places[task.place].level;
        visit_operands(compiler, &task, 0, raise_level);
        compiler->tasks[k - 1] = task;
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

// -----------------------------------------------------------------------------
// backward

// Phase and level as one number. A dot's level, within its phase, is the highest number that there
// is: the next number after it is level 0 of the next phase.
static inline uint64_t when(const Task *task) {
    return (uint64_t)task->phase << 32 | task->level;
}

// not before this phase and level; for a dot only the phase counts
static inline void not_before(Task *task, uint64_t least) {
    if (task->kind == PRODUCTS) least |= (Index)-1;
    if (when(task) >= least) return;
    task->phase = (Index)(least >> 32);
    task->level = (Index)least;
}

// What adds to a gradient after an adder has a higher level. If it is of the same kind it may have
// the same level: they are in the same batch then, in this order.
static inline uint64_t after_adder(const Adder *adder, Index kind) {
    return adder->when + (adder->when && adder->kind != kind);
}

static inline void follow_adder(const Compiler *compiler, Task *task, Index operand) {
    not_before(task, after_adder(&compiler->adders[operand], task->kind));
}

static inline void note_adder(const Compiler *compiler, Task *task, Index operand) {
    compiler->adders[operand] = (Adder){when(task), task->kind};
}

// A task comes after all adders to its own gradient, and after the last ones to those of its operands.
static inline void put_backward(const Compiler *compiler, Index k, Index *n) {
    Task task = {.kind = compiler->places[k].kind, .place = k};
    if (!passes_on(task.kind)) return;
    not_before(&task, compiler->adders[k].when + 1);
    visit_operands(compiler, &task, 1, follow_adder);
    if (task.level == 0) task.level = 1;
    visit_operands(compiler, &task, 1, note_adder);
    compiler->tasks[(*n)++] = task;
}

// The turn of a take of a choice among inner nodes must not depend on which node it copies: it comes
// right after its user's. See compile_choices.c.
Index compiler_backward_tasks(Compiler *compiler) {
    Index n = 0;
    for (Index k = compiler->m; k > 0; k--) {
        const Place *place = &compiler->places[k];
        if (is_inner_take(compiler, k)) continue;
        put_backward(compiler, k, &n);
        if (!passes_on(place->kind) || place->terms) continue;
        if (is_inner_take(compiler, place->a)) put_backward(compiler, place->a, &n);
        if (is_inner_take(compiler, place->b)) put_backward(compiler, place->b, &n);
    }
    join_phases(compiler, compiler->tasks, n, 0);
    sort_tasks(compiler, n);
    return n;
}

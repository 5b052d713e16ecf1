// What the files of the tape share: arena.c, operations.c, schedule.c, passes.c and recording.c, and
// what the networks and optimisers need of them. Programs include micrograd.h only.
//
// Functions that run once per node are inline, and here for that reason.

#ifndef MICROGRAD_TAPE_H
#define MICROGRAD_TAPE_H

#include "micrograd.h"
#include "ops.h"
#include "replay.h"

enum { FIRST_CAPACITY = 1024 };  // nodes in a new arena, entries in a new log

enum { SCHEDULE_FORWARD = 1, SCHEDULE_BACKWARD = 2, SCHEDULE_RECORDING = 4 };

// The order of a root's passes. One tape keeps many of them, in a hash table by root.
struct Schedule {
    Schedule *next;  // in the same bucket
    Index root;
    int kinds;       // the passes that may go in this order
    size_t n, room;
    Index *order;    // operands before their users
    int forwards;    // how many forward passes there were, up to 2
    Replay *replay;  // compiled at the second forward pass, or for a recording whose inputs change
    int has_choices; // a recording may give its nodes other operands: then the order is out of date
    uint64_t chosen; // tape->chosen when the order was found: while they are equal it is right
    const Index *outputs;  // of the recording whose inputs change; there is no order then, only a replay

    // Of a recording that was logged: the order starts with the leaves from before it, and then
    // has the nodes that it made. If those stand side by side in the arena, too, and none is
    // referenced from outside, they are freed in one piece.
    size_t leaves;
    Index *uses;     // uses[k]: how often the nodes use leaf k; uses[leaves]: how often node 0
    Index first;     // of the nodes; 0: they do not stand side by side
    uint64_t touched;  // tape->touched at the end of the log; while it is the same none is referenced
    int passes;      // how many backward passes there were
};

// -----------------------------------------------------------------------------
// faults

static inline int fault(Tape *tape, int code) {
    tape->fault = (Fault){.code = code};
    return -1;
}

static inline int out_of_memory(Tape *tape) {
    return fault(tape, FAULT_MEMORY);
}

// op(a, b) = out has no result, or no slope
static inline int fault_op(Tape *tape, int code, int op, Index a, Index b, double out) {
    tape->fault =
        (Fault){.code = code, .op = op, .operands = b ? 2 : 1, .a = tape->data[a], .b = tape->data[b], .out = out};
    return -1;
}

// -----------------------------------------------------------------------------
// schedules (schedule.c)

Schedule *schedule_new(void);
void schedule_free(Schedule *schedule);
int schedule_reserve(Schedule *schedule, size_t room);  // 0 without memory

// Put it into the table, with its root; NULL, and it is freed, where that would take too much memory.
Schedule *schedule_keep(Tape *tape, Schedule *schedule, Index root, int kinds);

// The schedule for this kind of pass, or NULL; one that is out of date is dropped.
Schedule *schedule_use(Tape *tape, Index root, int kind);

void schedules_drop(Tape *tape, Index root);    // a root's own
void schedules_drop_with(Tape *tape, Index i);  // all that list node i, because passes over it change
void schedules_drop_all(Tape *tape);

static inline Schedule **schedule_bucket(const Tape *tape, Index root) {
    return &tape->schedules[root & (tape->buckets - 1)];
}

static inline Schedule *schedule_find(const Tape *tape, Index root, int kind) {
    if (!(tape->nodes[root].flags & NODE_SCHEDULED)) return NULL;
    Schedule *schedule = *schedule_bucket(tape, root);
    while (schedule && !(schedule->root == root && schedule->kinds & kind)) schedule = schedule->next;
    return schedule;
}

// would a walk find another order now?
static inline int is_stale(const Tape *tape, const Schedule *schedule) {
    return schedule->has_choices && schedule->chosen != tape->chosen;
}

void log_grow(Tape *tape);

static inline void log_node(Tape *tape, Index i) {
    if (tape->log && tape->log->n == tape->log->room) log_grow(tape);
    if (tape->log) tape->log->order[tape->log->n++] = i;
}

// -----------------------------------------------------------------------------
// the arena (arena.c)

int arena_resize(Tape *tape, Index capacity);  // 0 without memory; to shrink cannot fail
int arena_grow(Tape *tape);   // 0 without memory
void arena_trim(Tape *tape);  // give back the upper end if at least half of it is free

static inline Index node_new(Tape *tape, Op op, double data, Index a, Index b) {
    Index i = tape->free;
    if (i) {
        tape->free = tape->nodes[i].a;
    } else {
        if (tape->used == tape->capacity && !arena_grow(tape)) {
            out_of_memory(tape);
            return 0;
        }
        i = ++tape->used;
    }
    tape->live++;
    tape->nodes[a].refs++;
    tape->nodes[b].refs++;
    tape->touched += (a | b) && !tape->log;  // what a log's nodes use is counted in its uses
    tape->nodes[i] = (Node){.a = a, .b = b, .op = (uint8_t)op};
    tape->data[i] = data;
    tape->grad[i] = 0.0;
    log_node(tape, i);
    return i;
}

static inline void discard_all(Tape *tape, const Index *nodes, size_t n) {
    for (size_t i = 0; i < n; i++) tape_discard(tape, nodes[i]);
}

// put a node's numbers in place if a replay may hold them
static inline void settle(Tape *tape, Index i) {
    if (tape->held && tape->nodes[i].flags & NODE_REPLAYED) tape_settle(tape);
}

void settle_nodes(Tape *tape, const Index *nodes, size_t n);
void settle_outputs(Tape *tape, const Replay *replay);

// -----------------------------------------------------------------------------
// operations (operations.c), passes (passes.c), recordings whose inputs change (recording.c)

Index tape_list(Tape *tape, const Index *nodes, size_t n);  // a node that uses them all
int walk_forward(Tape *tape, Index root);                   // tape_forward without a schedule
Replay *tape_replay(const Tape *tape, Index root);          // of the recording with this first output

#endif

// Schedules: the order of a root's passes, kept with the root, and the log of a recording, which
// writes such an order while the nodes are made.

#include <stdlib.h>
#include "tape.h"

enum {
    KEPT_ANYWAY = 1 << 20,      // cached orders may always hold this many entries
    FEWEST_BUCKETS = 16         // of the table of schedules
};

Schedule *schedule_new(void) {
    return calloc(1, sizeof(Schedule));
}

void schedule_free(Schedule *schedule) {
    if (schedule) {
        free(schedule->order);
        free(schedule->uses);
    }
    free(schedule);
}

int schedule_reserve(Schedule *schedule, size_t room) {
    Index *order = realloc(schedule->order, room * sizeof(Index));
    if (!order) return 0;
    schedule->order = order;
    schedule->room = room;
    return 1;
}

static void schedules_rehash(Tape *tape, Index buckets) {
    Schedule **old = tape->schedules, **fresh = calloc(buckets, sizeof *fresh);
    if (!fresh) return;  // the old table still works, more slowly
    Index n = tape->buckets;
    tape->schedules = fresh;
    tape->buckets = buckets;
    for (Index i = 0; i < n; i++) {
        for (Schedule *schedule = old[i], *next; schedule; schedule = next) {
            Schedule **first = schedule_bucket(tape, schedule->root);
            next = schedule->next;
            schedule->next = *first;
            *first = schedule;
        }
    }
    free(old);
}

// Overlapping graphs may have orders much longer than the arena, so there is a limit to the entries
// of all together.
Schedule *schedule_keep(Tape *tape, Schedule *schedule, Index root, int kinds) {
    if (tape->scheduled >= tape->buckets) {
        schedules_rehash(tape, tape->buckets ? 2 * tape->buckets : FEWEST_BUCKETS);
    }
    if (tape->kept + schedule->n > 4 * (size_t)tape->live + KEPT_ANYWAY || !tape->buckets) {
        schedule_free(schedule);
        return NULL;
    }
    Schedule **first = schedule_bucket(tape, root);
    schedule->root = root;
    schedule->kinds = kinds;
    schedule->next = *first;
    *first = schedule;
    tape->scheduled++;
    tape->kept += schedule->n;
    tape->nodes[root].flags |= NODE_SCHEDULED;
    return schedule;
}

static void schedule_drop(Tape *tape, Schedule **link) {
    Schedule *schedule = *link;
    if (schedule->replay) {
        tape_settle(tape);
        replay_unmark(tape, schedule->replay);
    }
    replay_free(schedule->replay);
    *link = schedule->next;
    tape->scheduled--;
    tape->kept -= schedule->n;
    schedule_free(schedule);
}

// the table shrinks when it is sparse, because schedules_drop_with visits all buckets
static void schedules_shrink(Tape *tape) {
    Index buckets = tape->buckets;
    while (buckets > FEWEST_BUCKETS && tape->scheduled < buckets / 8) buckets /= 2;
    if (buckets < tape->buckets) schedules_rehash(tape, buckets);
}

void schedules_drop(Tape *tape, Index root) {
    for (Schedule **link = schedule_bucket(tape, root); *link;) {
        if ((*link)->root == root) {
            schedule_drop(tape, link);
        } else {
            link = &(*link)->next;
        }
    }
    tape->nodes[root].flags &= (uint8_t)~NODE_SCHEDULED;
    schedules_shrink(tape);
}

// A recording whose inputs change has a replay that follows its choices, so it is never out of date.
Schedule *schedule_use(Tape *tape, Index root, int kind) {
    Schedule *schedule = schedule_find(tape, root, kind);
    if (!schedule || !is_stale(tape, schedule) || schedule->kinds & SCHEDULE_RECORDING) return schedule;
    schedules_drop(tape, root);
    return NULL;
}

static int schedule_has(const Schedule *schedule, Index i) {
    size_t k = 0;
    if (schedule->outputs) return replay_has(schedule->replay, i);
    while (k < schedule->n && schedule->order[k] != i) k++;
    return k < schedule->n;
}

void schedules_drop_with(Tape *tape, Index i) {
    if (tape->nodes[i].flags & NODE_SCHEDULED) schedules_drop(tape, i);
    if (tape->nodes[i].refs == 0) return;  // no node uses it, so no other root's schedule lists it
    for (Index k = 0; k < tape->buckets; k++) {
        for (Schedule **link = &tape->schedules[k]; *link;) {
            Index root = (*link)->root;
            if (!schedule_has(*link, i)) {
                link = &(*link)->next;
                continue;
            }
            schedule_drop(tape, link);
            if (!schedule_find(tape, root, SCHEDULE_FORWARD | SCHEDULE_BACKWARD | SCHEDULE_RECORDING)) {
                tape->nodes[root].flags &= (uint8_t)~NODE_SCHEDULED;
            }
        }
    }
    schedules_shrink(tape);
}

void schedules_drop_all(Tape *tape) {
    for (Index i = 0; i < tape->buckets; i++) {
        while (tape->schedules[i]) {
            tape->nodes[tape->schedules[i]->root].flags &= (uint8_t)~NODE_SCHEDULED;
            schedule_drop(tape, &tape->schedules[i]);
        }
    }
}

// -----------------------------------------------------------------------------
// the log of a recording

// without memory the log ends, and the recording goes on
void log_grow(Tape *tape) {
    if (schedule_reserve(tape->log, tape->log->room ? 2 * tape->log->room : FIRST_CAPACITY)) return;
    schedule_free(tape->log);
    tape->log = NULL;
}

static void log_drop(Tape *tape) {
    schedule_free(tape->log);
    tape->log = NULL;
}

static void log_operand(Tape *tape, Index i) {
    const Node *node = &tape->nodes[i];
    if (!tape->log) return;
    if (node->op != OP_LEAF || node->flags & (NODE_VISITED | NODE_FUNCTION)) {
        log_drop(tape);
    } else {
        log_node(tape, i);
    }
}

// The first call notes the leaves' reference counts; the second replaces them by how much they have
// grown since. 0 without memory.
static int log_count_uses(const Tape *tape, Schedule *log) {
    if (!log->uses) log->uses = calloc(log->leaves + 1, sizeof *log->uses);
    if (!log->uses) return 0;
    for (size_t k = 0; k < log->leaves; k++) log->uses[k] = tape->nodes[log->order[k]].refs - log->uses[k];
    log->uses[log->leaves] = tape->nodes[0].refs - log->uses[log->leaves];
    return 1;
}

void tape_log_start(Tape *tape, const Index *parameters, size_t n, const Index *inputs, size_t m) {
    tape->log = schedule_new();
    Node *nodes = tape->nodes;
    if (!nodes) return;
    nodes[0].flags = NODE_VISITED;  // an input that is no node need not be logged
    for (size_t k = 0; k < m && tape->log; k++) {
        if (nodes[inputs[k]].flags & NODE_VISITED) continue;  // logged already
        log_operand(tape, inputs[k]);
        nodes[inputs[k]].flags |= NODE_VISITED;
    }
    for (size_t k = 0; k < n && tape->log; k++) {
        log_operand(tape, parameters[k]);
        nodes[parameters[k]].flags |= NODE_VISITED;
    }
    for (size_t k = 0; k < m; k++) nodes[inputs[k]].flags &= (uint8_t)~NODE_VISITED;
    for (size_t k = 0; k < n; k++) nodes[parameters[k]].flags &= (uint8_t)~NODE_VISITED;
    if (!tape->log) return;
    tape->log->leaves = tape->log->n;
    log_count_uses(tape, tape->log);
    // unless more than a quarter of the arena is free, set the free list aside: then the new nodes
    // come at the end of the arena, and stand side by side
    if (tape->used - tape->live <= tape->used / 4 + FIRST_CAPACITY) {
        tape->aside = tape->free;
        tape->free = 0;
    }
}

static void free_list_restore(Tape *tape) {
    Index *end = &tape->free;
    if (tape->aside) {
        while (*end) end = &tape->nodes[*end].a;
    }
    if (tape->aside) *end = tape->aside;
    tape->aside = 0;
}

// if the nodes stand side by side, note what it takes to free them in one piece
static void log_find_region(const Tape *tape, Schedule *log, Index root) {
    const Index *order = log->order + log->leaves;
    size_t n = log->n - log->leaves;
    Index apart = order[n - 1] - root;
    if (!log->uses || !log_count_uses(tape, log)) return;
    for (size_t k = 0; k < n; k++) apart |= order[k] - order[0] - (Index)k;
    if (apart) return;
    log->first = order[0];
    log->touched = tape->touched;
}

void tape_log_end(Tape *tape, Index root) {
    Schedule *log = tape->log;
    tape->log = NULL;
    free_list_restore(tape);
    if (!log) return;
    if (root && schedule_reserve(log, log->n)) {
        log_find_region(tape, log, root);
        schedule_keep(tape, log, root, SCHEDULE_FORWARD | SCHEDULE_BACKWARD);
    } else {
        schedule_free(log);
    }
}

// Is a tape whole? For tests: it recomputes reference counts, free list, schedules and replays
// from the nodes, and compares. So a test need not guess where a mistake would show.
//
//     tape_is_whole(tape, holds)   holds[i]: how many owners outside node i has; the one
//                                  that watches it is not counted

#ifndef MICROGRAD_INVARIANTS_H
#define MICROGRAD_INVARIANTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tape.h"

static int tape_is_broken(int line, const char *what, Index i) {
    fprintf(stderr, "invariants.h:%d: the tape is broken at node %u: not so: %s\n", line, i, what);
    return 0;
}

#define WHOLE(i, condition)                                                        \
    do {                                                                           \
        if (!(condition)) return tape_is_broken(__LINE__, #condition, (Index)(i)); \
    } while (0)

// collected for every node
typedef struct Found {
    uint64_t uses;     // how many operands of living nodes it is
    int is_free;
    int is_unused;     // on the list of watched nodes that have lost their last user
    size_t position;   // in the order that is being checked, from 1
    int is_used;       // by another node in it
    int is_replayed;   // by a replay
} Found;

static int is_living(const Tape *tape, Index i) {
    return i > 0 && i <= tape->used && tape->nodes[i].op < OP_FREE;
}

// -----------------------------------------------------------------------------
// the arena: each place is on the free list or holds a living node, and each node's reference
// count is what it should be

static int check_operands(const Tape *tape, Index i) {
    const Node *node = &tape->nodes[i];
    int a = node->a != 0, b = node->b != 0;
    int op_a = a ? tape->nodes[node->a].op : -1, op_b = b ? tape->nodes[node->b].op : -1;
    WHOLE(i, !a || is_living(tape, node->a));
    WHOLE(i, !b || is_living(tape, node->b));
    switch (node->op) {
    case OP_LEAF: WHOLE(i, !b && (!a || op_a == OP_MOMENTS)); return 1;
    case OP_MOMENTS: WHOLE(i, !a && !b); return 1;
    case OP_USER:
    case OP_LINEAR: WHOLE(i, !b && (!a || op_a == OP_LIST)); return 1;
    case OP_LIST: WHOLE(i, a && (!b || op_b == OP_LIST)); break;
    case OP_LARGER:
    case OP_ADD:
    case OP_MUL:
    case OP_POW:
    case OP_POWER: WHOLE(i, a && b); break;
    default: WHOLE(i, a && !b);
    }
    WHOLE(i, op_a != OP_LIST && op_a != OP_MOMENTS && op_b != OP_MOMENTS);
    return 1;
}

static int check_nodes(const Tape *tape, Found *found, const Index *holds) {
    const Node *nodes = tape->nodes;
    uint64_t absent = 0;
    Index living = 0, nfree = 0;
    for (Index i = tape->free; i; i = nodes[i].a, nfree++) {
        WHOLE(i, i <= tape->used && nodes[i].op == OP_FREE && !found[i].is_free);
        found[i].is_free = 1;
    }
    for (Index i = 1; i <= tape->used; i++) {
        WHOLE(i, nodes[i].op <= OP_FREE);
        if (!is_living(tape, i)) {
            WHOLE(i, found[i].is_free && (!holds || !holds[i]));
            continue;
        }
        living++;
        WHOLE(i, !(nodes[i].flags & NODE_VISITED));
        WHOLE(i, (nodes[i].op == OP_USER || nodes[i].op == OP_LINEAR) == ((nodes[i].flags & NODE_USER) != 0));
        WHOLE(i, (nodes[i].op == OP_SHIFT) == ((nodes[i].flags & NODE_SHIFT) != 0));
        if (!check_operands(tape, i)) return 0;
        absent += (uint64_t)(!nodes[i].a + !nodes[i].b);
        found[nodes[i].a].uses++;
        found[nodes[i].b].uses++;
    }
    WHOLE(0, tape->live == living && tape->used == living + nfree);
    WHOLE(0, tape->used <= tape->capacity && tape->aside == 0 && !tape->log);
    if (nodes) WHOLE(0, nodes[0].refs == 1 + absent && nodes[0].a == 0 && nodes[0].b == 0);
    return 1;
}

// the list of unused nodes has each once, and room for all that are watched
static int check_unused(const Tape *tape, Found *found) {
    size_t watched = 0, needed = tape->nunused;
    for (size_t k = 0; k < tape->nunused; k++) {
        Index i = tape->unused[k];
        WHOLE(i, is_living(tape, i) && !found[i].is_unused);
        found[i].is_unused = 1;
    }
    for (Index i = 1; i <= tape->used; i++) {
        if (!is_living(tape, i) || !(tape->nodes[i].flags & NODE_WATCHED)) continue;
        watched++;
        needed += !found[i].is_unused;
    }
    WHOLE(0, tape->watched == watched && needed <= tape->unused_room);
    return 1;
}

// a place on the unused list counts as a reference; only a watched one may have no user and no hold that counts
static int check_refs(const Tape *tape, const Found *found, const Index *holds) {
    const Node *nodes = tape->nodes;
    for (Index i = 1; i <= tape->used; i++) {
        if (!is_living(tape, i)) continue;
        uint64_t refs = found[i].uses + (uint64_t)found[i].is_unused;
        WHOLE(i, holds ? nodes[i].refs == refs + holds[i] : nodes[i].refs >= refs);
        WHOLE(i, !holds || nodes[i].refs > 0 || nodes[i].flags & NODE_WATCHED);
    }
    return 1;
}

// the graph has no cycle: remove nodes without users until none is left
static int check_acyclic(const Tape *tape, const Found *found) {
    uint64_t *uses = malloc(((size_t)tape->used + 1) * sizeof *uses);
    Index *ready = malloc(((size_t)tape->used + 1) * sizeof *ready), n = 0, taken = 0;
    for (Index i = 1; i <= tape->used; i++) {
        uses[i] = found[i].uses;
        if (is_living(tape, i) && !uses[i]) ready[n++] = i;
    }
    for (; taken < n; taken++) {
        const Node *node = &tape->nodes[ready[taken]];
        if (node->a && --uses[node->a] == 0) ready[n++] = node->a;
        if (node->b && --uses[node->b] == 0) ready[n++] = node->b;
    }
    free(uses);
    free(ready);
    WHOLE(0, taken == tape->live);
    return 1;
}

// -----------------------------------------------------------------------------
// schedules: a kept order has all nodes below its root, operands first

static int check_order(const Tape *tape, Found *found, const Schedule *schedule) {
    const Node *nodes = tape->nodes;
    int leaf = schedule->kinds & SCHEDULE_FORWARD ? OP_LEAF : OP_SHIFT;
    for (size_t k = 0; k < schedule->n; k++) {
        Index i = schedule->order[k];
        WHOLE(i, is_living(tape, i) && !found[i].position);
        found[i].position = k + 1;
        if (nodes[i].op <= leaf) continue;
        WHOLE(i, found[nodes[i].a].position && (!nodes[i].b || found[nodes[i].b].position));
        found[nodes[i].a].is_used = found[nodes[i].b].is_used = 1;
        WHOLE(i, !(nodes[i].flags & NODE_USER));
    }
    for (size_t k = 0; k < schedule->n; k++) {
        Index i = schedule->order[k];
        WHOLE(i, found[i].is_used == (i != schedule->root));
        WHOLE(i, !(nodes[i].flags & NODE_FUNCTION));
    }
    for (size_t k = 0; k < schedule->n; k++) found[schedule->order[k]].position = 0;
    for (size_t k = 0; k < schedule->n; k++) {
        Index i = schedule->order[k];
        found[nodes[i].a].is_used = found[nodes[i].b].is_used = found[i].is_used = 0;
    }
    return 1;
}

// the counts with which discard_region frees a recording in one piece
static int check_region(const Tape *tape, const Schedule *schedule) {
    const Node *nodes = tape->nodes;
    Index *uses = calloc((size_t)tape->used + 1, sizeof *uses);
    for (size_t k = schedule->leaves; k < schedule->n; k++) {
        Index i = schedule->order[k];
        WHOLE(i, i == schedule->first + (Index)(k - schedule->leaves));
        uses[nodes[i].a]++;
        uses[nodes[i].b]++;
        if (nodes[i].op == OP_LEAF && nodes[i].a) uses[0]++;  // its moments came later
    }
    for (size_t k = 0; k < schedule->leaves; k++) {
        WHOLE(schedule->order[k], schedule->uses[k] == uses[schedule->order[k]]);
    }
    WHOLE(0, schedule->uses[schedule->leaves] == uses[0]);
    free(uses);
    return 1;
}

static int is_held(const Tape *tape, const Replay *replay) {
    const Replay *held = tape->held;
    while (held && held != replay) held = held->next_held;
    return held != NULL;
}

static int is_output(const Replay *replay, Index i) {
    for (Index k = 0; k < replay->noutputs; k++) {
        if (replay->nodes[replay->outputs[k]] == i) return 1;
    }
    return 0;
}

static int find_replayed(Found *found, Index i) {
    WHOLE(i, !found[i].is_replayed);
    found[i].is_replayed = 1;
    return 1;
}

// its nodes are in no other replay: all but leaves that others hold or use, and outputs
static int check_replay(const Tape *tape, Found *found, const Schedule *schedule) {
    const Replay *replay = schedule->replay;
    WHOLE(schedule->root, schedule->kinds & (SCHEDULE_FORWARD | SCHEDULE_RECORDING));
    WHOLE(schedule->root, replay->nodes[replay->outputs[0]] == schedule->root);
    WHOLE(schedule->root, is_held(tape, replay) == (replay->holds != HOLDS_NOTHING));
    for (Index slot = 1; slot <= replay->slots; slot++) {
        Index i = replay->nodes[slot];
        WHOLE(i, is_living(tape, i) && (tape->nodes[i].op == OP_LEAF) == (slot <= replay->privates));
        if (slot > replay->leaves && !is_output(replay, i) && !find_replayed(found, i)) return 0;
    }
    for (Index k = 0; k < replay->nterms; k++) {
        Index product = replay->terms[k].product, sum = replay->terms[k].sum;
        WHOLE(sum, is_living(tape, sum) && tape->nodes[sum].op == OP_ADD);
        WHOLE(product, !product || (is_living(tape, product) && tape->nodes[product].op == OP_MUL));
        if (product && !find_replayed(found, product)) return 0;
        // the last sum of a dot has a slot, too
        int has_slot = is_output(replay, sum) || found[sum].is_replayed;
        if (!has_slot && !find_replayed(found, sum)) return 0;
    }
    return 1;
}

static int check_schedule(const Tape *tape, Found *found, const Schedule *schedule) {
    Index root = schedule->root;
    WHOLE(root, is_living(tape, root) && tape->nodes[root].flags & NODE_SCHEDULED);
    WHOLE(root, schedule->kinds >= 1 && schedule->kinds <= 5);
    if (schedule->outputs) {
        WHOLE(root, schedule->kinds & SCHEDULE_RECORDING && schedule->n == 0 && schedule->replay);
        return check_replay(tape, found, schedule);
    }
    WHOLE(root, schedule->n > 0 && schedule->n <= schedule->room);
    WHOLE(root, schedule->order[schedule->n - 1] == root);
    if (!is_stale(tape, schedule) && !check_order(tape, found, schedule)) return 0;
    if (schedule->first && !check_region(tape, schedule)) return 0;
    if (!schedule->replay) return 1;
    return check_replay(tape, found, schedule);
}

static int check_schedules(const Tape *tape, Found *found) {
    size_t kept = 0, replays = 0, held = 0;
    Index scheduled = 0;
    WHOLE(0, (tape->buckets & (tape->buckets - 1)) == 0);
    for (Index i = 0; i < tape->buckets; i++) {
        for (const Schedule *schedule = tape->schedules[i]; schedule; schedule = schedule->next) {
            WHOLE(schedule->root, (schedule->root & (tape->buckets - 1)) == i);
            if (!check_schedule(tape, found, schedule)) return 0;
            scheduled++;
            kept += schedule->n;
            replays += schedule->replay && schedule->replay->holds != HOLDS_NOTHING;
        }
    }
    for (const Replay *replay = tape->held; replay; replay = replay->next_held) held++;
    WHOLE(0, scheduled == tape->scheduled && kept == tape->kept && held == replays);
    for (Index i = 1; i <= tape->used; i++) {
        if (!is_living(tape, i)) continue;
        WHOLE(i, found[i].is_replayed == ((tape->nodes[i].flags & NODE_REPLAYED) != 0));
        if (!(tape->nodes[i].flags & NODE_SCHEDULED)) continue;
        const Schedule *schedule = tape->schedules[i & (tape->buckets - 1)];
        while (schedule && schedule->root != i) schedule = schedule->next;
        WHOLE(i, schedule);
    }
    return 1;
}

// 1, or 0 and a line on stderr; holds may be NULL where they are not known
static int tape_is_whole(const Tape *tape, const Index *holds) {
    Found *found = calloc((size_t)tape->used + 1, sizeof *found);
    int whole = check_nodes(tape, found, holds) && check_unused(tape, found) && check_refs(tape, found, holds)
        && check_acyclic(tape, found) && check_schedules(tape, found);
    free(found);
    return whole;
}

#endif

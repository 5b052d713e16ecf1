// The arena of nodes: where they are, and how long they live.
//
// A node is 16 bytes in one array, and 8 each in those of the numbers and gradients. It knows its
// operands by their index, so the arrays can grow and move. Dead nodes go on a free list, and the
// next ones recorded take their places. Nothing here is recursive: a graph may be millions deep.

#include <stdlib.h>
#include <string.h>
#include "tape.h"

enum {
    LAST_CAPACITY = 1 << 30,    // so that no reference count can overflow
    TRIM_FROM = 1 << 20         // an arena this large shrinks when most of it is unused
};

void tape_init(Tape *tape) {
    memset(tape, 0, sizeof *tape);
}

void tape_free(Tape *tape) {
    schedules_drop_all(tape);
    free(tape->schedules);
    free(tape->unused);
    free(tape->nodes);
    free(tape->data);
    free(tape->grad);
    free(tape->order);
    free(tape->saved);
    compiler_free(tape);
    tape_init(tape);
}

static int resize(void **memory, size_t size) {
    void *resized = realloc(*memory, size);
    if (resized) *memory = resized;
    return resized != NULL;
}

int arena_resize(Tape *tape, Index capacity) {
    size_t places = (size_t)capacity + 1;
    if (places > SIZE_MAX / sizeof(Node)) return 0;  // where addresses have 32 bits
    int is_new = !tape->nodes;
    int resized = resize((void **)&tape->nodes, places * sizeof(Node))
        & resize((void **)&tape->data, places * sizeof(double)) & resize((void **)&tape->grad, places * sizeof(double));
    // node 0 counts the references of absent operands, and is never freed
    if (is_new && tape->nodes) tape->nodes[0] = (Node){.refs = 1};
    if (is_new && resized) tape->data[0] = tape->grad[0] = 0.0;
    if (resized || capacity < tape->capacity) tape->capacity = capacity;
    return resized;
}

int arena_grow(Tape *tape) {
    if (tape->capacity >= LAST_CAPACITY) return 0;
    if (!arena_resize(tape, tape->capacity ? 2 * tape->capacity : FIRST_CAPACITY)) return 0;
    tape->trim_below = tape->capacity >= TRIM_FROM ? tape->used / 4 : 0;
    return 1;
}

// sort the free list, so that the next recording writes its nodes one after the other
static void arena_rewind(Tape *tape) {
    while (tape->used && tape->nodes[tape->used].op == OP_FREE) tape->used--;
    tape->free = 0;
    for (Index i = tape->used; i > 0; i--) {
        if (tape->nodes[i].op != OP_FREE) continue;
        tape->nodes[i].a = tape->free;
        tape->free = i;
    }
}

void arena_trim(Tape *tape) {
    Index before = tape->used;
    arena_rewind(tape);
    if (tape->used > before / 2) {  // not yet: try again when still fewer are left
        tape->trim_below = tape->live / 2;
        return;
    }
    Index capacity = tape->capacity;
    while (capacity > FIRST_CAPACITY && capacity / 2 >= tape->used) capacity /= 2;
    arena_resize(tape, capacity);
    free(tape->order);
    free(tape->saved);
    compiler_free(tape);
    tape->order = NULL;
    tape->saved = NULL;
    tape->room = 0;
    tape->trim_below = capacity >= TRIM_FROM ? tape->used / 4 : 0;
}

// -----------------------------------------------------------------------------
// the numbers that replays hold

void tape_settle(Tape *tape) {
    while (tape->held) {
        Replay *replay = tape->held;
        tape->held = replay->next_held;
        replay_settle(tape, replay);
    }
}

double *tape_data(Tape *tape, Index i) {
    settle(tape, i);
    return &tape->data[i];
}

double *tape_grad(Tape *tape, Index i) {
    settle(tape, i);
    return &tape->grad[i];
}

void settle_nodes(Tape *tape, const Index *nodes, size_t n) {
    unsigned flags = 0;
    if (!tape->held) return;
    for (size_t k = 0; k < n; k++) flags |= tape->nodes[nodes[k]].flags;
    if (flags & NODE_REPLAYED) tape_settle(tape);
}

// a replay's outputs may be inside another one
void settle_outputs(Tape *tape, const Replay *replay) {
    for (Index k = 0; k < replay->noutputs; k++) settle(tape, replay->nodes[replay->outputs[k]]);
}

// -----------------------------------------------------------------------------
// lifetime

// a watched node has lost its last user: the list holds it until tape_unused takes it off
static void unused_put(Tape *tape, Index i) {
    tape->nodes[i].refs = 1;
    tape->unused[tape->nunused++] = i;
}

void tape_hold(Tape *tape, Index i) {
    tape->touched += tape->nodes[i].refs++ > 0;  // the hold on a fresh node is its first
}

void tape_release(Tape *tape, Index i) {
    if (--tape->nodes[i].refs > 0) return;
    if (tape->nodes[i].flags & NODE_WATCHED) {
        unused_put(tape, i);
        return;
    }
    Index before = tape->live;
    tape_discard(tape, i);
    // only here: callers of tape_discard may hold indices beyond the smaller arena's end
    if (tape->live < tape->trim_below && !tape->trim_later) {
        arena_trim(tape);
    } else if (before - tape->live > tape->used / 4) {
        arena_rewind(tape);
    }
}

int tape_watch(Tape *tape, Index i) {
    size_t needed = tape->nunused + tape->watched + 1;  // each watched node may be listed once
    if (needed > tape->unused_room) {
        size_t room = 2 * needed;
        Index *unused = realloc(tape->unused, room * sizeof *unused);
        if (!unused) return out_of_memory(tape);
        tape->unused = unused;
        tape->unused_room = room;
    }
    tape->watched++;
    tape->touched++;
    tape->nodes[i].flags |= NODE_WATCHED;
    tape->nodes[i].refs--;
    return 0;
}

void tape_unwatch(Tape *tape, Index i) {
    tape->watched--;
    tape->nodes[i].flags &= (uint8_t)~NODE_WATCHED;
    tape->nodes[i].refs++;
    tape_release(tape, i);
}

Index tape_unused(Tape *tape) {
    while (tape->nunused) {
        Index i = tape->unused[--tape->nunused];
        if (!(tape->nodes[i].flags & NODE_WATCHED)) {
            tape_release(tape, i);
        } else if (--tape->nodes[i].refs == 0) {
            return i;
        }
    }
    return 0;
}

// put an unused node on the free list; its operands are released after that
static inline void node_free(Tape *tape, Index i) {
    Node *node = &tape->nodes[i];
    if (node->flags & NODE_SCHEDULED) schedules_drop(tape, i);
    if (node->op == OP_MOMENTS) tape->nleaves = 0;
    tape->live--;
    node->op = OP_FREE;
    node->a = tape->free;
    tape->free = i;
}

// free an unused node, and the nodes below it that are unused then. Depth first, so that the
// next recording takes nodes off the free list in about the order of the arena. A node on the
// work list has refs == 0, so refs serves as the link
static void discard_depth_first(Tape *tape, Index i) {
    Node *nodes = tape->nodes;
    Index work = i;
    while (work) {
        i = work;
        Index a = nodes[i].a, b = nodes[i].b;
        work = nodes[i].refs;
        nodes[i].refs = 0;
        if (nodes[i].flags & NODE_WATCHED) {
            unused_put(tape, i);
            continue;
        }
        node_free(tape, i);
        if (--nodes[b].refs == 0) {
            nodes[b].refs = work;
            work = b;
        }
        if (--nodes[a].refs == 0) {
            nodes[a].refs = work;
            work = a;
        }
    }
}

// free the unused nodes below a root whose order is known: backwards through it users come
// before their operands, so each node is looked at once
static void discard_in_order(Tape *tape, const Index *order, size_t n) {
    Node *nodes = tape->nodes;
    for (size_t k = n; k > 0; k--) {
        Index i = order[k - 1], a = nodes[i].a, b = nodes[i].b;
        if (nodes[i].refs || nodes[i].op == OP_FREE) continue;
        if (nodes[i].flags & NODE_WATCHED) {
            unused_put(tape, i);
            continue;
        }
        Index moments = nodes[i].op == OP_LEAF ? a : 0;
        node_free(tape, i);
        nodes[a].refs--;
        nodes[b].refs--;
        if (moments && nodes[moments].refs == 0) discard_depth_first(tape, moments);
    }
}

// true if only the root of this recording is referenced from outside
static int is_untouched(const Tape *tape, const Schedule *schedule) {
    return schedule->first && schedule->touched == tape->touched;
}

// free a recording that is untouched, from `first` to the root, in one piece
static void discard_region(Tape *tape, const Schedule *region) {
    Node *nodes = tape->nodes;
    Index first = region->first, last = region->root;
    schedules_drop(tape, last);
    tape->live -= last - first + 1;
    if (last == tape->used) {
        tape->used = first - 1;
    } else {
        for (Index i = last; i >= first; i--) {
            nodes[i].op = OP_FREE;
            nodes[i].a = tape->free;
            tape->free = i;
        }
    }
    nodes[0].refs -= region->uses[region->leaves];
    for (size_t k = 0; k < region->leaves; k++) {
        Index leaf = region->order[k];
        nodes[leaf].refs -= region->uses[k];
        if (nodes[leaf].refs == 0) discard_depth_first(tape, leaf);
    }
}

void tape_discard(Tape *tape, Index i) {
    if (!i || tape->nodes[i].refs || tape->nodes[i].op == OP_FREE) return;
    if (tape->nodes[i].flags & NODE_WATCHED) return;  // its owner unwatches it
    Schedule *schedule = schedule_find(tape, i, SCHEDULE_FORWARD);
    if (!schedule || schedule->outputs || is_stale(tape, schedule)) {
        discard_depth_first(tape, i);
        return;
    }
    // freeing the root drops its schedules, but this one's lists are needed until the end
    Schedule kept = *schedule;
    schedule->order = schedule->uses = NULL;
    if (is_untouched(tape, &kept)) {
        discard_region(tape, &kept);
    } else {
        discard_in_order(tape, kept.order, kept.n);
    }
    free(kept.order);
    free(kept.uses);
}

// The tape: an arena of nodes, and the passes over them.
//
// A node is 16 bytes in one array, and 8 each in those of the numbers and gradients; it knows its
// operands by their index there, so the arrays can grow and move. Dead nodes go on a free list, and the next ones recorded
// take their places. Nothing here is recursive: a graph may be millions deep.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"
#include "replay.h"

enum {
    FIRST_CAPACITY = 1024,      // nodes
    LAST_CAPACITY = 1 << 30,    // so that no reference count can overflow
    TRIM_FROM = 1 << 20,        // an arena this large shrinks when most of it is unused
    KEPT_ANYWAY = 1 << 20,      // cached orders may always hold this many entries
    FEWEST_BUCKETS = 16         // of the table of schedules
};

enum { SCHEDULE_FORWARD = 1, SCHEDULE_BACKWARD = 2, SCHEDULE_RECORDING = 4 };

struct Schedule {
    Schedule *next;  // in the same bucket
    Index root;
    int kinds;       // the passes that may go in this order
    size_t n, room;
    Index *order;    // operands before their users
    int forwards;    // how often forward has come here
    Replay *replay;  // compiled when it came a second time, or for a recording whose inputs change
    int has_choices; // a recording may give its nodes other operands,
    uint64_t chosen; // and has not as long as tape->chosen is this
    const Index *outputs;  // of the recording whose inputs change; there is no order then, only a replay

    // of a recording that was logged: the leaves from before it stand first in the order, and
    // then the nodes that it made. Where those stand side by side in the arena, too, one
    // look can tell that none is referenced from outside, and all are freed at once
    size_t leaves;
    Index *uses;     // by leaf: how many of the nodes use it, and how many use node 0
    uint64_t refs;   // of all the nodes together, without references from outside
    Index first;     // of the nodes; 0: they do not stand side by side
    uint64_t touched;  // tape->touched then: while it is the same, refs need no check
    int passes;      // how often backward has come here
};

static const Index LAST_OPERAND = 1u << 31;  // a walk is at this node's last operand

const char *op_name(Op op) {
    switch (op) {
    case OP_ADD: return "+";
    case OP_MUL: return "*";
    case OP_POW: return "**k";
    case OP_POWER: return "**";
    case OP_RELU: return "ReLU";
    case OP_TANH: return "tanh";
    case OP_EXP: return "exp";
    case OP_LOG: return "log";
    case OP_SIGMOID: return "sigmoid";
    case OP_SQRT: return "sqrt";
    case OP_SIN: return "sin";
    case OP_COS: return "cos";
    case OP_ABS: return "abs";
    case OP_TAKE: return "take";
    case OP_LEAF: case OP_SHIFT: case OP_LARGER: case OP_USER: case OP_LINEAR: case OP_LIST:
    case OP_MOMENTS: case OP_FREE: return "";
    }
    return "";
}

// -----------------------------------------------------------------------------
// faults

static int fault(Tape *tape, int code) {
    tape->fault = (Fault){.code = code};
    return -1;
}

// no such number as op(a, b) = out, or no such slope
static int fault_op(Tape *tape, int code, int op, Index a, Index b, double out) {
    tape->fault = (Fault){.code = code, .op = op, .operands = b ? 2 : 1,
                          .a = tape->data[a], .b = tape->data[b], .out = out};
    return -1;
}

// -----------------------------------------------------------------------------
// schedules

static Schedule *schedule_new(void) {
    return calloc(1, sizeof(Schedule));
}

static void schedule_free(Schedule *schedule) {
    if (schedule) {
        free(schedule->order);
        free(schedule->uses);
    }
    free(schedule);
}

static int schedule_reserve(Schedule *schedule, size_t room) {
    Index *order = realloc(schedule->order, room * sizeof(Index));
    if (!order) return 0;
    schedule->order = order;
    schedule->room = room;
    return 1;
}

static Schedule **bucket(const Tape *tape, Index root) {
    return &tape->schedules[root & (tape->buckets - 1)];
}

static void schedules_rehash(Tape *tape, Index buckets) {
    Schedule **old = tape->schedules, **fresh = calloc(buckets, sizeof *fresh);
    if (!fresh) return;  // the old table still works, more slowly
    Index n = tape->buckets;
    tape->schedules = fresh;
    tape->buckets = buckets;
    for (Index i = 0; i < n; i++) {
        for (Schedule *schedule = old[i], *next; schedule; schedule = next) {
            Schedule **first = bucket(tape, schedule->root);
            next = schedule->next;
            schedule->next = *first;
            *first = schedule;
        }
    }
    free(old);
}

// keep an order with its root; all that are kept may take a few bytes a node and no more,
// however the graphs overlap
static Schedule *schedule_keep(Tape *tape, Schedule *schedule, Index root, int kinds) {
    if (tape->scheduled >= tape->buckets) {
        schedules_rehash(tape, tape->buckets ? 2 * tape->buckets : FEWEST_BUCKETS);
    }
    if (tape->kept + schedule->n > 4 * (size_t)tape->live + KEPT_ANYWAY || !tape->buckets) {
        schedule_free(schedule);
        return NULL;
    }
    Schedule **first = bucket(tape, root);
    schedule->root = root;
    schedule->kinds = kinds;
    schedule->next = *first;
    *first = schedule;
    tape->scheduled++;
    tape->kept += schedule->n;
    tape->nodes[root].flags |= NODE_SCHEDULED;
    return schedule;
}

static Schedule *schedule_find(const Tape *tape, Index root, int kind) {
    if (!(tape->nodes[root].flags & NODE_SCHEDULED)) return NULL;
    Schedule *schedule = *bucket(tape, root);
    while (schedule && !(schedule->root == root && schedule->kinds & kind)) schedule = schedule->next;
    return schedule;
}

// is the order not the one that a walk would find?
static int is_stale(const Tape *tape, const Schedule *schedule) {
    return schedule->has_choices && schedule->chosen != tape->chosen;
}

static void schedule_drop(Tape *tape, Schedule **link) {
    Schedule *schedule = *link;
    if (schedule->replay) tape_settle(tape);
    replay_free(tape, schedule->replay);
    *link = schedule->next;
    tape->scheduled--;
    tape->kept -= schedule->n;
    schedule_free(schedule);
}

// the table shrinks with what is in it: others go through all of its buckets
static void schedules_shrink(Tape *tape) {
    Index buckets = tape->buckets;
    while (buckets > FEWEST_BUCKETS && tape->scheduled < buckets / 8) buckets /= 2;
    if (buckets < tape->buckets) schedules_rehash(tape, buckets);
}

// a root's schedules are freed with it
static void drop_schedules(Tape *tape, Index root) {
    for (Schedule **link = bucket(tape, root); *link;) {
        if ((*link)->root == root) {
            schedule_drop(tape, link);
        } else {
            link = &(*link)->next;
        }
    }
    tape->nodes[root].flags &= (uint8_t)~NODE_SCHEDULED;
    schedules_shrink(tape);
}

// the schedule for this kind of pass whose order, or whose replay, is good now
static Schedule *schedule_use(Tape *tape, Index root, int kind) {
    Schedule *schedule = schedule_find(tape, root, kind);
    if (!schedule || !is_stale(tape, schedule) || schedule->kinds & SCHEDULE_RECORDING) return schedule;
    drop_schedules(tape, root);
    return NULL;
}

static int schedule_has(const Schedule *schedule, Index i) {
    size_t k = 0;
    if (schedule->outputs) return replay_has(schedule->replay, i);
    while (k < schedule->n && schedule->order[k] != i) k++;
    return k < schedule->n;
}

// the passes over node i go another way from now on: drop the schedules that list it
static void drop_schedules_with(Tape *tape, Index i) {
    if (tape->nodes[i].flags & NODE_SCHEDULED) drop_schedules(tape, i);
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

static void drop_all_schedules(Tape *tape) {
    for (Index i = 0; i < tape->buckets; i++) {
        while (tape->schedules[i]) {
            tape->nodes[tape->schedules[i]->root].flags &= (uint8_t)~NODE_SCHEDULED;
            schedule_drop(tape, &tape->schedules[i]);
        }
    }
}

// without memory there is no log, and the recording goes on
static void log_grow(Tape *tape) {
    if (schedule_reserve(tape->log, tape->log->room ? 2 * tape->log->room : FIRST_CAPACITY)) return;
    schedule_free(tape->log);
    tape->log = NULL;
}

static inline void log_node(Tape *tape, Index i) {
    if (tape->log && tape->log->n == tape->log->room) log_grow(tape);
    if (tape->log) tape->log->order[tape->log->n++] = i;
}

// -----------------------------------------------------------------------------
// the arena

void tape_init(Tape *tape) {
    memset(tape, 0, sizeof *tape);
}

void tape_free(Tape *tape) {
    drop_all_schedules(tape);
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

// as many places; where there is no memory for fewer the old room does
static int tape_resize(Tape *tape, Index capacity) {
    size_t places = (size_t)capacity + 1;
    if (places > SIZE_MAX / sizeof(Node)) return 0;  // where addresses have 32 bits
    int is_new = !tape->nodes;
    int resized = resize((void **)&tape->nodes, places * sizeof(Node))
        & resize((void **)&tape->data, places * sizeof(double))
        & resize((void **)&tape->grad, places * sizeof(double));
    // node 0 takes the reference counts of operands that are not there, and never dies
    if (is_new && tape->nodes) tape->nodes[0] = (Node){.refs = 1};
    if (is_new && resized) tape->data[0] = tape->grad[0] = 0.0;
    if (resized || capacity < tape->capacity) tape->capacity = capacity;
    return resized;
}

static int tape_grow(Tape *tape) {
    if (tape->capacity >= LAST_CAPACITY) return 0;
    if (!tape_resize(tape, tape->capacity ? 2 * tape->capacity : FIRST_CAPACITY)) return 0;
    tape->trim_below = tape->capacity >= TRIM_FROM ? tape->used / 4 : 0;
    return 1;
}

// put the free places in order, so that the next recording writes one after the other
static void tape_rewind(Tape *tape) {
    while (tape->used && tape->nodes[tape->used].op == OP_FREE) tape->used--;
    tape->free = 0;
    for (Index i = tape->used; i > 0; i--) {
        if (tape->nodes[i].op != OP_FREE) continue;
        tape->nodes[i].a = tape->free;
        tape->free = i;
    }
}

// give back the upper end of the arena if at least half of it is free
static void tape_trim(Tape *tape) {
    Index before = tape->used;
    tape_rewind(tape);
    if (tape->used > before / 2) {  // not yet: try again when still fewer are left
        tape->trim_below = tape->live / 2;
        return;
    }
    Index capacity = tape->capacity;
    while (capacity > FIRST_CAPACITY && capacity / 2 >= tape->used) capacity /= 2;
    tape_resize(tape, capacity);
    free(tape->order);
    free(tape->saved);
    compiler_free(tape);
    tape->order = NULL;
    tape->saved = NULL;
    tape->room = 0;
    tape->trim_below = capacity >= TRIM_FROM ? tape->used / 4 : 0;
}

static inline Index node_new(Tape *tape, Op op, double data, Index a, Index b) {
    Index i = tape->free;
    if (i) {
        tape->free = tape->nodes[i].a;
    } else {
        if (tape->used == tape->capacity && !tape_grow(tape)) {
            fault(tape, FAULT_MEMORY);
            return 0;
        }
        i = ++tape->used;
    }
    tape->live++;
    tape->nodes[a].refs++;
    tape->nodes[b].refs++;
    tape->touched += (a | b) && !tape->log;  // a log's nodes use one another, and leaves
    tape->nodes[i] = (Node){.a = a, .b = b, .op = (uint8_t)op};
    tape->data[i] = data;
    tape->grad[i] = 0.0;
    log_node(tape, i);
    return i;
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

static inline void settle(Tape *tape, Index i) {
    if (tape->held && tape->nodes[i].flags & NODE_REPLAYED) tape_settle(tape);
}

double *tape_data(Tape *tape, Index i) {
    settle(tape, i);
    return &tape->data[i];
}

double *tape_grad(Tape *tape, Index i) {
    settle(tape, i);
    return &tape->grad[i];
}

static void settle_all_of(Tape *tape, const Index *order, size_t n) {
    unsigned flags = 0;
    if (!tape->held) return;
    for (size_t k = 0; k < n; k++) flags |= tape->nodes[order[k]].flags;
    if (flags & NODE_REPLAYED) tape_settle(tape);
}

// a replay's outputs may be inside another one
static void settle_outputs(Tape *tape, const Replay *replay) {
    for (Index k = 0; k < replay->noutputs; k++) settle(tape, replay->nodes[replay->outputs[k]]);
}

// -----------------------------------------------------------------------------
// recording

Index tape_leaf(Tape *tape, double data) {
    return node_new(tape, OP_LEAF, data, 0, 0);
}

// record out = op(a, b), or note the fault and discard unused operands
static inline Index record(Tape *tape, Op op, Index a, Index b) {
    settle(tape, a);
    settle(tape, b);
    double x = tape->data[a], y = tape->data[b], out = 0.0;
    Index i = 0;
    if (op_forward(op, x, y, &out)) {
        i = node_new(tape, op, out, a, b);
    } else {
        fault_op(tape, FAULT_FORWARD, (int)op, a, b, out);
    }
    if (!i) {
        tape_discard(tape, a);
        tape_discard(tape, b);
    }
    return i;
}

Index tape_unary(Tape *tape, Op op, Index a) {
    Index i = a ? record(tape, op, a, 0) : 0;
    if (i && op == OP_SHIFT) tape->nodes[i].flags = NODE_SHIFT;
    return i;
}

Index tape_binary(Tape *tape, Op op, Index a, Index b) {
    if (!a || !b) {  // an operand that failed: the other one has no user now
        tape_discard(tape, a);
        tape_discard(tape, b);
        return 0;
    }
    return record(tape, op, a, b);
}

Index tape_pow(Tape *tape, Index a, double k, int is_integer) {
    Index exponent = tape_leaf(tape, k);
    if (exponent && is_integer) tape->nodes[exponent].flags |= NODE_INTEGER;
    return tape_binary(tape, OP_POW, a, exponent);
}

// The sum of products of nodes at once, where there are fresh places side by side: most of a
// network is this. Returns the sum, or 0 if the places are elsewhere.
static inline Index record_dot(Tape *tape, Index start, const Index *w, const Index *x, size_t n) {
    Schedule *log = tape->log;
    if (tape->free || tape->held || tape->capacity - tape->used < 2 * n || n == 0) return 0;
    if (log && log->room - log->n < 2 * n) return 0;
    for (size_t i = 0; i < n; i++) {
        if (!w[i] || !x[i]) return 0;
    }
    Node *nodes = tape->nodes;
    double *data = tape->data, *grad = tape->grad;
    Index sum = start, last = tape->used;
    double total = data[start];
    nodes[start].refs++;
    for (size_t i = 0; i < n; i++) {
        double product = data[w[i]] * data[x[i]];
        total = total + product;
        nodes[w[i]].refs++;
        nodes[x[i]].refs++;
        nodes[last + 1] = (Node){.a = w[i], .b = x[i], .refs = 1, .op = OP_MUL};
        nodes[last + 2] = (Node){.a = sum, .b = last + 1, .refs = 1, .op = OP_ADD};
        data[last + 1] = product;
        data[last + 2] = total;
        grad[last + 1] = grad[last + 2] = 0.0;
        if (log) {
            log->order[log->n++] = last + 1;
            log->order[log->n++] = last + 2;
        }
        last += 2;
        sum = last;
    }
    nodes[sum].refs = 0;
    tape->live += last - tape->used;
    tape->used = last;
    tape->touched += !log;
    return sum;
}

// w[i] * x[i]: beside a Value a number goes second, as a leaf; two numbers make one leaf
static inline Index product(Tape *tape, const Index *w, const double *w_numbers,
                            const Index *x, const double *x_numbers, size_t i) {
    if (w[i]) {
        Index xi = x[i] ? x[i] : tape_leaf(tape, x_numbers[i]);
        return xi ? record(tape, OP_MUL, w[i], xi) : 0;
    }
    if (x[i]) return tape_binary(tape, OP_MUL, x[i], tape_leaf(tape, w_numbers[i]));
    return tape_leaf(tape, w_numbers[i] * x_numbers[i]);
}

// total + term, if there is a term: else it has failed
static inline Index sum(Tape *tape, Index total, Index term) {
    if (term) return record(tape, OP_ADD, total, term);
    tape_discard(tape, total);
    return 0;
}

// total = start
// for wi, xi in zip(w, x):
//     total = total + wi*xi
// return total if isinstance(total, Value) else Value(total)
Index tape_dot(Tape *tape, Index start, double number, const Index *w, const double *w_numbers,
               const Index *x, const double *x_numbers, size_t n) {
    size_t i = 0;
    if (!start) {
        while (i < n && !w[i] && !x[i]) {
            number += w_numbers[i] * x_numbers[i];
            i++;
        }
        if (i == n) return tape_leaf(tape, number);
        // number + Value: the Value is asked, and puts the number second
        start = tape_binary(tape, OP_ADD, product(tape, w, w_numbers, x, x_numbers, i), tape_leaf(tape, number));
        i++;
    }
    Index total = start ? record_dot(tape, start, w + i, x + i, n - i) : 0;
    if (total) return total;
    for (; i < n && start; i++) start = sum(tape, start, product(tape, w, w_numbers, x, x_numbers, i));
    return start;
}

// total = start
// for xi in x:
//     total = total + xi
// return total if isinstance(total, Value) else Value(total)
Index tape_sum(Tape *tape, Index start, double number, const Index *x, const double *numbers, size_t n) {
    size_t i = 0;
    if (!start) {
        while (i < n && !x[i]) number += numbers[i++];
        if (i == n) return tape_leaf(tape, number);
        start = tape_binary(tape, OP_ADD, x[i++], tape_leaf(tape, number));
    }
    for (; i < n && start; i++) start = sum(tape, start, x[i] ? x[i] : tape_leaf(tape, numbers[i]));
    return start;
}

Index tape_neg(Tape *tape, Index a) {
    return tape_binary(tape, OP_MUL, a, tape_leaf(tape, -1.0));
}

Index tape_sub(Tape *tape, Index a, Index b) {
    return tape_binary(tape, OP_ADD, a, tape_neg(tape, b));
}

Index tape_sub_number(Tape *tape, Index a, double k) {
    return tape_binary(tape, OP_ADD, a, tape_leaf(tape, -k));
}

Index tape_number_sub(Tape *tape, double k, Index a) {
    return tape_binary(tape, OP_ADD, tape_neg(tape, a), tape_leaf(tape, k));
}

Index tape_div(Tape *tape, Index a, Index b) {
    return tape_binary(tape, OP_MUL, a, tape_pow(tape, b, -1.0, 1));
}

Index tape_div_number(Tape *tape, Index a, double k) {
    double inverse;
    if (number_power(k, -1.0, &inverse)) return tape_binary(tape, OP_MUL, a, tape_leaf(tape, inverse));
    tape->fault = (Fault){.code = FAULT_FORWARD, .op = OP_POW, .operands = 2, .a = k, .b = -1.0};
    return tape_binary(tape, OP_MUL, a, 0);
}

Index tape_number_div(Tape *tape, double k, Index a) {
    return tape_binary(tape, OP_MUL, tape_pow(tape, a, -1.0, 1), tape_leaf(tape, k));
}

// nodes as a list, so that walks and releases need know nothing of it: (a, (b, (c, -)))
static Index list_new(Tape *tape, const Index *nodes, const double *slopes, size_t n) {
    Index list = 0;
    for (size_t k = n; k > 0; k--) {
        Index longer = node_new(tape, OP_LIST, slopes ? slopes[k - 1] : 0.0, nodes[k - 1], list);
        if (!longer) {
            tape_discard(tape, list);
            return 0;
        }
        list = longer;
    }
    return list;
}

Index tape_list(Tape *tape, const Index *nodes, size_t n) {
    return list_new(tape, nodes, NULL, n);
}

Index tape_user(Tape *tape, double data, const Index *operands, const double *slopes, size_t n) {
    Op op = slopes ? OP_LINEAR : OP_USER;
    Index list = list_new(tape, operands, slopes, n);
    if (n && !list) return 0;
    Index i = node_new(tape, op, data, list, 0);
    if (i) {
        tape->nodes[i].flags = NODE_USER;
    } else {
        tape_discard(tape, list);
    }
    return i;
}

Index tape_largest(Tape *tape, const Index *operands, size_t n) {
    Index largest = operands[0];
    for (size_t i = 1; i < n; i++) largest = tape_binary(tape, OP_LARGER, largest, operands[i]);
    return largest;
}

// -----------------------------------------------------------------------------
// the log of a recording

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

// what the leaves' reference counts are more than before: call it before the recording and
// after; 0 without memory
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
    // fresh places stand side by side; but where many are free, and a good part of the arena, those
    // come first
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

// do the nodes stand side by side? Then note what there is to know when they are freed
static void log_find_region(const Tape *tape, Schedule *log, Index root) {
    const Index *order = log->order + log->leaves;
    size_t n = log->n - log->leaves;
    Index apart = order[n - 1] - root;
    if (!log->uses || !log_count_uses(tape, log)) return;
    for (size_t k = 0; k < n; k++) apart |= order[k] - order[0] - (Index)k;
    if (apart) return;
    log->first = order[0];
    log->touched = tape->touched;
    log->refs = 2 * n;  // each uses two, of the leaves, of these nodes or node 0
    for (size_t k = 0; k <= log->leaves; k++) log->refs -= log->uses[k];
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
        tape_trim(tape);
    } else if (before - tape->live > tape->used / 4) {
        tape_rewind(tape);
    }
}

int tape_watch(Tape *tape, Index i) {
    size_t needed = tape->nunused + tape->watched + 1;  // each watched node may be listed once
    if (needed > tape->unused_room) {
        size_t room = 2 * needed;
        Index *unused = realloc(tape->unused, room * sizeof *unused);
        if (!unused) return fault(tape, FAULT_MEMORY);
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

// put the place of an unused node on the free list; its operands are still to be released
static inline void node_free(Tape *tape, Index i) {
    Node *node = &tape->nodes[i];
    if (node->flags & NODE_SCHEDULED) drop_schedules(tape, i);
    if (node->op == OP_MOMENTS) tape->nleaves = 0;
    tape->live--;
    node->op = OP_FREE;
    node->a = tape->free;
    tape->free = i;
}

// free an unused node, and the nodes below it that are unused then: depth first, so that the
// free list hands the next recording its nodes in about the order in which it wants them. A
// node on the work list has refs == 0, so refs serves as the link
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

// free the unused nodes below a root whose order is known: users come before their
// operands on the way back, so one look at each node is enough
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

// is the root the only node of this recording that is held or used from outside of it?
static int is_untouched(const Tape *tape, const Schedule *schedule) {
    const Node *node = tape->nodes + schedule->first, *root = tape->nodes + schedule->root;
    uint64_t refs = 0;
    unsigned flags = 0;
    Index moments = 0;
    if (!schedule->first || root->flags & NODE_WATCHED) return 0;
    if (schedule->touched == tape->touched) return 1;
    for (; node < root; node++) {
        refs += node->refs;
        flags |= node->flags;
        moments |= node->op == OP_LEAF ? node->a : 0;
    }
    return refs == schedule->refs && !(flags & (NODE_WATCHED | NODE_SCHEDULED)) && !moments;
}

// free a recording that is untouched, from `first` to the root, in one piece
static void discard_region(Tape *tape, const Schedule *region) {
    Node *nodes = tape->nodes;
    Index first = region->first, last = region->root;
    drop_schedules(tape, last);
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
    if (tape->nodes[i].flags & NODE_WATCHED) return;  // its owner has it
    Schedule *schedule = schedule_find(tape, i, SCHEDULE_FORWARD);
    if (!schedule || schedule->outputs || is_stale(tape, schedule)) {
        discard_depth_first(tape, i);
        return;
    }
    // freeing the root drops its schedules: keep this one's lists a little longer
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

static size_t operand_put(Index *operands, size_t n, Index operand) {
    if (operands) operands[n] = operand;
    return n + 1;
}

size_t tape_operands(const Tape *tape, Index i, Index *operands) {
    const Node *nodes = tape->nodes, *node = &nodes[i];
    size_t n = 0;
    switch (node->op) {
    case OP_LEAF:  // its moments are internal and not reported as operands,
    case OP_SHIFT: // nor is what a shift is computed from,
        return 0;
    case OP_POW:   // nor the exponent
        return operand_put(operands, 0, node->a);
    case OP_USER:
    case OP_LINEAR:
        for (Index list = node->a; list; list = nodes[list].b) n = operand_put(operands, n, nodes[list].a);
        return n;
    default:
        if (node->a) n = operand_put(operands, n, node->a);
        if (node->b) n = operand_put(operands, n, node->b);
        return n;
    }
}

ptrdiff_t tape_slopes(Tape *tape, Index i, double *slopes) {
    tape_settle(tape);
    const Node *nodes = tape->nodes, *node = &nodes[i];
    ptrdiff_t n = (ptrdiff_t)tape_operands(tape, i, NULL);
    if (node->op == OP_LINEAR) {
        for (Index list = node->a; list; list = nodes[list].b) *slopes++ = tape->data[list];
        return n;
    }
    if (node->op == OP_USER) return 0;
    double da = -0.0, db = -0.0;  // what leaves the sign of a slope of 0 as it is
    double a = tape->data[node->a], b = tape->data[node->b], out = tape->data[i];
    if (!op_backward((Op)node->op, a, b, out, 1.0, &da, &db)) {
        return fault_op(tape, FAULT_BACKWARD, node->op, node->a, node->b, out);
    }
    if (n > 0) slopes[0] = da;
    if (n > 1) slopes[1] = db;
    return n;
}

// The two moments of a leaf are in a node of their own, the leaf's hidden operand: m is its
// data and v its gradient.
Index tape_moments(const Tape *tape, Index i) {
    const Node *leaf = &tape->nodes[i];
    return leaf->op == OP_LEAF ? leaf->a : 0;
}

int tape_make_moments(Tape *tape, Index i) {
    Index moments = tape_leaf(tape, 0.0);
    if (!moments) return -1;
    // a replay may have taken the leaf for one that only its graph uses
    if (tape->nodes[i].flags & NODE_REPLAYED) drop_schedules_with(tape, i);
    tape->nodes[moments].op = OP_MOMENTS;
    tape->nodes[moments].refs = 1;
    tape->nodes[i].a = moments;
    tape->nodes[0].refs--;  // one operand less that is not there
    return 0;
}

void tape_forget_moments(Tape *tape, Index i) {
    Index moments = tape_moments(tape, i);
    if (!moments) return;
    tape->touched++;
    tape->nodes[i].a = 0;
    tape->nodes[0].refs++;
    tape_release(tape, moments);
}

// -----------------------------------------------------------------------------
// the depth-first walk

static int walk_reserve(Tape *tape) {
    if (tape->room >= tape->used) return 1;
    // memory that is never touched costs nothing, so take what the arena may come to
    size_t room = tape->capacity;
    free(tape->order);
    free(tape->saved);
    tape->order = malloc(room * sizeof(Index));
    tape->saved = malloc(room * 2 * sizeof(double));
    tape->room = tape->order && tape->saved ? tape->capacity : 0;
    return tape->room > 0;
}

// Find the order, mark its nodes as visited and save their gradients. Returns how many
// nodes there are, 0 without memory; *flags gets what any of them has in its flags.
//
//     def build_topo(v):
//         if v not in visited:
//             visited.add(v)
//             for child in v._prev:
//                 build_topo(child)
//             topo.append(v)
//
// Nodes of operation `leaf` and those before it in the enum count as leaves.
static size_t walk(Tape *tape, Index root, Op leaf, unsigned *flags) {
    if (!walk_reserve(tape)) {
        fault(tape, FAULT_MEMORY);
        return 0;
    }
    Node *nodes = tape->nodes;
    // a node is in the order, or on the stack of those still to finish, or not yet
    // seen: one array has room for both
    Index *order = tape->order, *end = tape->order + tape->room, *stack = end;
    const double *grad = tape->grad;
    double *saved = tape->saved;
    unsigned seen = 0;
    nodes[0].flags = NODE_VISITED;  // node 0, an absent operand, needs no visit
    Index i = root;
    for (;;) {
        // down to the first operand that has not been visited, and its first operand ...
        nodes[i].flags |= NODE_VISITED;
        if (nodes[i].op > leaf) {
            Index a = nodes[i].a, b = nodes[i].b;
            if (!(nodes[a].flags & NODE_VISITED)) {
                *--stack = i;
                i = a;
                continue;
            }
            if (!(nodes[b].flags & NODE_VISITED)) {
                *--stack = i | LAST_OPERAND;
                i = b;
                continue;
            }
        }
        // ... and up again, as long as nothing is left below
        for (;;) {
            seen |= nodes[i].flags;
            *saved++ = grad[i];
            *order++ = i;
            if (stack == end) {
                *flags = seen;
                return (size_t)(order - tape->order);
            }
            i = *stack++;
            if (i & LAST_OPERAND) {
                i &= ~LAST_OPERAND;
                continue;
            }
            Index b = nodes[i].b;
            if (!(nodes[b].flags & NODE_VISITED)) {
                *--stack = i | LAST_OPERAND;
                i = b;
                break;
            }
        }
    }
}

static void walk_end(Tape *tape, const Index *order, size_t n) {
    for (size_t k = 0; k < n; k++) tape->nodes[order[k]].flags &= (uint8_t)~NODE_VISITED;
}

size_t tape_walk(Tape *tape, Index root, int forward) {
    unsigned flags;
    size_t n = walk(tape, root, forward ? OP_LEAF : OP_SHIFT, &flags);
    walk_end(tape, tape->order, n);
    return n;
}

static void find_choices(const Tape *tape, Schedule *schedule) {
    schedule->chosen = tape->chosen;
    for (size_t k = 0; k < schedule->n && tape->chosen; k++) {
        const Node *node = &tape->nodes[schedule->order[k]];
        if (node->op == OP_TAKE && node->flags & NODE_CHOICE) schedule->has_choices = 1;
    }
}

// the order of a root's passes of this kind, to be kept as long as the root; NULL if there
// is no memory, or if the graph has nodes that only their owner can run
static Schedule *schedule_build(Tape *tape, Index root, int kind) {
    unsigned flags;
    size_t n = walk(tape, root, kind == SCHEDULE_FORWARD ? OP_LEAF : OP_SHIFT, &flags);
    walk_end(tape, tape->order, n);
    if (n == 0 || flags & (NODE_FUNCTION | NODE_USER)) return NULL;
    Schedule *schedule = schedule_new();
    if (!schedule || !schedule_reserve(schedule, n)) {
        schedule_free(schedule);
        return NULL;
    }
    memcpy(schedule->order, tape->order, n * sizeof(Index));
    schedule->n = n;
    find_choices(tape, schedule);
    // where no shift is, both passes go the same way
    return schedule_keep(tape, schedule, root, flags & NODE_SHIFT ? kind : SCHEDULE_FORWARD | SCHEDULE_BACKWARD);
}

// -----------------------------------------------------------------------------
// backward

// for operand, slope in zip(self._prev, self._local_grads):
//     operand.grad += slope * out.grad
static void linear_backward(const Tape *tape, Index out) {
    const Node *nodes = tape->nodes;
    for (Index list = nodes[out].a; list; list = nodes[list].b) {
        tape->grad[nodes[list].a] += tape->data[list] * tape->grad[out];
    }
}

int node_backward(Tape *tape, Index i) {
    tape_settle(tape);
    tape->touched++;
    if (tape->nodes[i].op == OP_LINEAR) {
        linear_backward(tape, i);
        return 0;
    }
    const Node *node = &tape->nodes[i];
    Index a = node->a, b = node->b;
    double *data = tape->data, *grad = tape->grad;
    if (op_backward((Op)node->op, data[a], data[b], data[i], grad[i], &grad[a], &grad[b])) return 0;
    return fault_op(tape, FAULT_BACKWARD, node->op, a, b, data[i]);
}

static void save_gradients(Tape *tape, const Index *order, size_t n) {
    for (size_t k = 0; k < n; k++) tape->saved[k] = tape->grad[order[k]];
}

// go one node at a time, users before their operands, and apply the chain rule; what the
// first nsaved gradients and the root's were before is in tape->saved, the others were 0.
// A walk's marks go on the way
static inline int run_backward(Tape *tape, Index root, const Index *order, size_t n, size_t nsaved, int is_marked) {
    Node *nodes = tape->nodes;
    const double *data = tape->data;
    double *grad = tape->grad;
    grad[root] = 1.0;
    for (size_t k = n; k > 0; k--) {
        Index i = order[k - 1], a = nodes[i].a, b = nodes[i].b;
        Op op = (Op)nodes[i].op;
        double g = grad[i];
        if (is_marked) nodes[i].flags &= (uint8_t)~NODE_VISITED;
        if (op == OP_ADD) {
            grad[a] += g;
            grad[b] += g;
            // a neuron's sum: the product that goes into it comes next
            if (nodes[b].op != OP_MUL || k == 1 || order[k - 2] != b) continue;
            k--;
            i = b;
            op = OP_MUL;
            if (is_marked) nodes[i].flags &= (uint8_t)~NODE_VISITED;
            a = nodes[i].a;
            b = nodes[i].b;
            g = grad[i];
        }
        if (op == OP_MUL) {
            grad[a] += data[b] * g;
            grad[b] += data[a] * g;
        } else if (op == OP_LINEAR) {
            linear_backward(tape, i);
        } else if (!op_backward(op, data[a], data[b], data[i], g, &grad[a], &grad[b])) {
            fault_op(tape, FAULT_BACKWARD, (int)op, a, b, data[i]);
            walk_end(tape, order, n);
            for (size_t j = 0; j < n; j++) grad[order[j]] = j < nsaved || j == n - 1 ? tape->saved[j] : 0.0;
            return -1;
        }
    }
    return 0;
}

static int run_scheduled_backward(Tape *tape, Schedule *schedule) {
    size_t n = schedule->n;
    int is_first = schedule->first && schedule->passes == 0 && schedule->touched == tape->touched;
    size_t nsaved = is_first ? schedule->leaves : n;  // the others have had no gradient yet
    settle_all_of(tape, schedule->order, n);  // a number that was set since: its replay was not ready
    save_gradients(tape, schedule->order, nsaved);
    tape->saved[n - 1] = tape->grad[schedule->root];
    return run_backward(tape, schedule->root, schedule->order, n, nsaved, 0);
}

int tape_backward(Tape *tape, Index root) {
    settle(tape, root);  // it may be inside another replay
    Schedule *replayed = schedule_find(tape, root, SCHEDULE_RECORDING);
    if (!replayed) replayed = schedule_use(tape, root, SCHEDULE_FORWARD);
    if (replayed && replayed->replay) settle_outputs(tape, replayed->replay);
    if (replayed && replayed->replay && replay_backward(tape, replayed->replay) == 0) {
        replayed->passes++;
        return 0;
    }
    Schedule *schedule = schedule_use(tape, root, SCHEDULE_BACKWARD);
    // a root with a forward schedule is likely to run both passes again
    if (!schedule && schedule_find(tape, root, SCHEDULE_FORWARD)) {
        schedule = schedule_build(tape, root, SCHEDULE_BACKWARD);
    }
    if (schedule && !is_stale(tape, schedule) && walk_reserve(tape) && schedule->n <= tape->room) {
        int result = run_scheduled_backward(tape, schedule);
        schedule->passes++;
        return result;
    }
    unsigned flags;
    size_t n = walk(tape, root, OP_SHIFT, &flags);
    if (n == 0) return -1;
    if (flags & NODE_FUNCTION) {
        walk_end(tape, tape->order, n);
        return fault(tape, FAULT_USER);
    }
    if (tape->held && flags & NODE_REPLAYED) {  // what the walk has saved were not its numbers
        tape_settle(tape);
        save_gradients(tape, tape->order, n);
    }
    return run_backward(tape, root, tape->order, n, n, 1);
}

ptrdiff_t tape_backward_until(Tape *tape, const Index *order, ptrdiff_t from) {
    tape_settle(tape);
    for (ptrdiff_t k = from - 1; k >= 0; k--) {
        if (tape->nodes[order[k]].flags & NODE_FUNCTION) return k;
        if (node_backward(tape, order[k]) < 0) return -2;
    }
    return -1;
}

void tape_set_function(Tape *tape, Index i, int on) {
    if (on) {
        tape->nodes[i].flags |= NODE_FUNCTION;
        drop_schedules_with(tape, i);  // they know nothing of functions
    } else {
        tape->nodes[i].flags &= (uint8_t)~NODE_FUNCTION;
    }
}

// -----------------------------------------------------------------------------
// forward

static int node_forward(Tape *tape, Index i) {
    const Node *node = &tape->nodes[i];
    double out = tape->data[i];
    if (!op_forward((Op)node->op, tape->data[node->a], tape->data[node->b], &out)) {
        return fault_op(tape, FAULT_FORWARD, node->op, node->a, node->b, out);
    }
    tape->data[i] = out;
    return 0;
}

static int run_forward(Tape *tape, const Index *order, size_t n) {
    settle_all_of(tape, order, n);
    const Node *nodes = tape->nodes;
    double *data = tape->data, *grad = tape->grad, *saved = tape->saved;
    for (size_t k = 0; k < n; k++) {
        Index i = order[k];
        const Node *node = &nodes[i];
        saved[2 * k] = data[i];
        saved[2 * k + 1] = grad[i];
        if (node->op == OP_MUL) {
            data[i] = data[node->a] * data[node->b];
        } else if (node->op == OP_ADD) {
            data[i] = data[node->a] + data[node->b];
        } else if (node_forward(tape, i) < 0) {
            for (size_t j = 0; j <= k; j++) {
                data[order[j]] = saved[2 * j];
                grad[order[j]] = saved[2 * j + 1];
            }
            return -1;
        } else if (node->op == OP_LEAF) {
            continue;  // keeps its gradient
        }
        grad[i] = 0.0;
    }
    return 0;
}

// the second forward() on a root compiles its recording
static void schedule_compile(Tape *tape, Schedule *forward) {
    forward->replay = replay_new(tape, &forward->root, 1, NULL, 0);
}

static int walk_forward(Tape *tape, Index root) {
    unsigned flags;
    size_t n = walk(tape, root, OP_LEAF, &flags);
    if (n == 0) return -1;
    walk_end(tape, tape->order, n);
    if (flags & NODE_USER) return fault(tape, FAULT_USER);
    return run_forward(tape, tape->order, n);
}

int tape_forward(Tape *tape, Index root) {
    Schedule *schedule = schedule_use(tape, root, SCHEDULE_FORWARD);
    if (!schedule) schedule = schedule_build(tape, root, SCHEDULE_FORWARD);
    if (schedule && schedule->n > 1 && schedule->forwards < 2 && ++schedule->forwards == 2) {
        schedule_compile(tape, schedule);
    }
    if (schedule && schedule->replay) {
        settle_outputs(tape, schedule->replay);
        if (replay_forward(tape, schedule->replay) == 0) return 0;
    }
    if (schedule && !schedule->outputs && walk_reserve(tape) && schedule->n <= tape->room) {
        return run_forward(tape, schedule->order, schedule->n);
    }
    return walk_forward(tape, root);
}

ptrdiff_t tape_forward_until(Tape *tape, const Index *order, ptrdiff_t from, ptrdiff_t n) {
    tape_settle(tape);
    for (ptrdiff_t k = from; k < n; k++) {
        if (tape->nodes[order[k]].flags & NODE_USER) return k;
        if (node_forward(tape, order[k]) < 0) return -2;
    }
    return n;
}

// -----------------------------------------------------------------------------
// recordings whose inputs change

Replay *tape_replay(const Tape *tape, Index root) {
    const Schedule *schedule = schedule_find(tape, root, SCHEDULE_RECORDING);
    return schedule ? schedule->replay : NULL;
}

// two recordings may have the same first output
static int is_kept(const Tape *tape, const Recording *recording) {
    if (!recording->noutputs || !recording->outputs) return 0;
    const Schedule *schedule = schedule_find(tape, recording->outputs[0], SCHEDULE_RECORDING);
    return schedule && schedule->outputs == recording->outputs;
}

static Replay *replay_of(const Tape *tape, const Recording *recording) {
    return is_kept(tape, recording) ? tape_replay(tape, recording->outputs[0]) : NULL;
}

// Without memory, or where the graph cannot be compiled, each forward pass looks for the order.
void tape_keep(Tape *tape, const Recording *recording) {
    Index first = recording->outputs[0];
    Schedule *schedule = schedule_find(tape, first, SCHEDULE_RECORDING) ? NULL : schedule_new();
    if (!schedule) return;
    schedule->forwards = 2;
    schedule->outputs = recording->outputs;
    schedule->has_choices = recording->nchoices > 0;
    schedule->chosen = tape->chosen;
    int kinds = SCHEDULE_RECORDING | (recording->root == first ? SCHEDULE_FORWARD : 0);
    schedule = schedule_keep(tape, schedule, first, kinds);
    if (!schedule) return;
    schedule->replay = replay_new(tape, recording->outputs, recording->noutputs, recording->choices, recording->nchoices);
    if (!schedule->replay) drop_schedules(tape, first);
}

// What was compiled of a recording that is about to release its nodes. Most often all of them die
// with it, and the numbers that it holds are wanted by nobody.
Replay *tape_let_go(Tape *tape, const Recording *recording) {
    if (!is_kept(tape, recording)) return NULL;
    Schedule *schedule = schedule_find(tape, recording->outputs[0], SCHEDULE_RECORDING);
    Replay *replay = schedule->replay;
    schedule->replay = NULL;
    for (Replay **link = &tape->held; replay && *link; link = &(*link)->next_held) {
        if (*link != replay) continue;
        *link = replay->next_held;
        break;
    }
    drop_schedules(tape, recording->outputs[0]);
    tape->trim_later += replay != NULL;  // it knows its nodes by their places
    return replay;
}

// After the release: those that are still alive get their numbers.
void tape_drop(Tape *tape, Replay *replay) {
    if (!replay) return;
    if (replay->holds && replay_is_alive(tape, replay)) replay_settle(tape, replay);
    replay_free(tape, replay);
    tape->trim_later--;
    if (tape->live < tape->trim_below && !tape->trim_later) tape_trim(tape);
}

static void choose(Tape *tape, Recording *recording, size_t c, Index item) {
    Choice *choice = &recording->choices[c];
    Node *nodes = tape->nodes;
    if (choice->chosen == item) return;
    for (Index j = 0; j < choice->width; j++) {
        Node *take = &nodes[choice->takes[j]];
        nodes[take->a].refs--;  // the recording holds it
        take->a = choice->items[item * choice->width + j];
        nodes[take->a].refs++;
    }
    choice->chosen = item;
    tape->chosen++;
    tape->touched++;
    Replay *replay = replay_of(tape, recording);
    if (replay) replay_choose(replay, c, item);
}

int recording_set(Tape *tape, Recording *recording, const double *numbers, const int64_t *integers) {
    for (size_t c = 0; c < recording->nchoices; c++) {
        const Choice *choice = &recording->choices[c];
        int64_t i = integers[choice->integer];
        if (i >= 0 && i < (int64_t)choice->n) continue;
        tape->fault = (Fault){.code = FAULT_INDEX, .operands = 2, .a = (double)i, .b = choice->n};
        return -1;
    }
    for (size_t c = 0; c < recording->nchoices; c++) {
        recording->choices[c].before = recording->choices[c].chosen;
        choose(tape, recording, c, (Index)integers[recording->choices[c].integer]);
    }
    for (size_t k = 0; k < recording->ninputs; k++) {
        Index input = recording->inputs[k];
        settle(tape, input);
        recording->numbers[2 * k] = tape->data[input];
        recording->numbers[2 * k + 1] = tape->grad[input];
        tape->data[input] = numbers[k];
        tape->grad[input] = 0.0;
    }
    return 0;
}

void recording_undo(Tape *tape, Recording *recording) {
    for (size_t c = recording->nchoices; c > 0; c--) choose(tape, recording, c - 1, recording->choices[c - 1].before);
    for (size_t k = recording->ninputs; k > 0; k--) {
        Index input = recording->inputs[k - 1];
        settle(tape, input);
        tape->data[input] = recording->numbers[2 * k - 2];
        tape->grad[input] = recording->numbers[2 * k - 1];
    }
}

int recording_forward(Tape *tape, Recording *recording) {
    Replay *replay = replay_of(tape, recording);
    if (replay) {
        settle_outputs(tape, replay);
        if (replay_forward(tape, replay) == 0) return 0;
    }
    return walk_forward(tape, recording->root);
}

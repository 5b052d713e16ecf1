// The passes over a graph, forward and backward, and the depth-first walk that finds their order.

#include <stdlib.h>
#include <string.h>
#include "tape.h"

static const Index LAST_OPERAND = 1u << 31;  // a walk is at this node's last operand

// -----------------------------------------------------------------------------
// the depth-first walk

static int walk_reserve(Tape *tape) {
    if (tape->room >= tape->used) return 1;
    // memory that is never written costs nothing, so reserve for the arena's capacity
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
        out_of_memory(tape);
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

// walk the graph and keep the order; NULL without memory, or if the graph has user nodes or
// functions of the user's
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
    // without a shift both passes have the same order
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

// Go one node at a time, users before their operands, and apply the chain rule. tape->saved has the
// gradients from before the pass of the first nsaved nodes and of the root; the others were 0. Clears
// NODE_VISITED if a walk has set it.
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
            // in a neuron's sum the product that it adds comes next
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
    size_t nsaved = is_first ? schedule->leaves : n;  // the others' gradients are still 0
    settle_nodes(tape, schedule->order, n);
    save_gradients(tape, schedule->order, nsaved);
    tape->saved[n - 1] = tape->grad[schedule->root];
    return run_backward(tape, schedule->root, schedule->order, n, nsaved, 0);
}

int tape_backward(Tape *tape, Index root) {
    settle(tape, root);  // it may be an inner node of another replay
    Schedule *replayed = schedule_find(tape, root, SCHEDULE_RECORDING);
    if (!replayed) replayed = schedule_use(tape, root, SCHEDULE_FORWARD);
    if (replayed && replayed->replay) settle_outputs(tape, replayed->replay);
    if (replayed && replayed->replay && replay_backward(tape, replayed->replay) == 0) {
        replayed->passes++;
        return 0;
    }
    Schedule *schedule = schedule_use(tape, root, SCHEDULE_BACKWARD);
    // a root with a forward schedule will probably run both passes again
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
    if (tape->held && flags & NODE_REPLAYED) {  // the walk has saved gradients that were not in place
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
        schedules_drop_with(tape, i);  // which would not call the function
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
    settle_nodes(tape, order, n);
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

int walk_forward(Tape *tape, Index root) {
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

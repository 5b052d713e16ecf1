// Operations recorded: functions that make nodes, from single operations to sums and dots; and, at the
// end, what a node was computed from.

#include "tape.h"

Index tape_leaf(Tape *tape, double data) {
    return node_new(tape, OP_LEAF, data, 0, 0);
}

// record out = op(a, b), or set the fault and discard unused operands
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
    if (!a || !b) {  // one operand has failed: free the other one
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

// start + w0*x0 + ... of nodes only, in one loop without the checks of node_new: most nodes of a
// network are made here. Returns 0, and has done nothing, if the nodes would not stand at the end of
// the arena.
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

// w[i] * x[i]: a node times a number has the number second, as a leaf; two numbers make one leaf
static inline Index product(Tape *tape, const Index *w, const double *w_numbers, const Index *x,
                            const double *x_numbers, size_t i) {
    if (w[i]) {
        Index xi = x[i] ? x[i] : tape_leaf(tape, x_numbers[i]);
        return xi ? record(tape, OP_MUL, w[i], xi) : 0;
    }
    if (x[i]) return tape_binary(tape, OP_MUL, x[i], tape_leaf(tape, w_numbers[i]));
    return tape_leaf(tape, w_numbers[i] * x_numbers[i]);
}

// total + term; term is 0 if it has failed
static inline Index sum(Tape *tape, Index total, Index term) {
    if (term) return record(tape, OP_ADD, total, term);
    tape_discard(tape, total);
    return 0;
}

// total = start
// for wi, xi in zip(w, x):
//     total = total + wi*xi
// return total if isinstance(total, Value) else Value(total)
Index tape_dot(Tape *tape, Index start, double number, const Index *w, const double *w_numbers, const Index *x,
               const double *x_numbers, size_t n) {
    size_t i = 0;
    if (!start) {
        while (i < n && !w[i] && !x[i]) {
            number += w_numbers[i] * x_numbers[i];
            i++;
        }
        if (i == n) return tape_leaf(tape, number);
        // number + Value is Value.__radd__, which puts the number second
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

// x / y has failed because of y ** -1: if that was 0 ** -1 the fault becomes that of a division
static void fault_quotient(Tape *tape, double x) {
    double y = tape->fault.a;
    if (tape->fault.code != FAULT_FORWARD || y != 0) return;
    tape->fault = (Fault){.code = FAULT_DIVISION, .operands = 2, .a = x, .b = y};
}

Index tape_div(Tape *tape, Index a, Index b) {
    Index inverse = tape_pow(tape, b, -1.0, 1);
    if (!inverse && a && b) fault_quotient(tape, *tape_data(tape, a));
    return tape_binary(tape, OP_MUL, a, inverse);
}

Index tape_div_number(Tape *tape, Index a, double k) {
    double inverse;
    if (number_power(k, -1.0, &inverse)) return tape_binary(tape, OP_MUL, a, tape_leaf(tape, inverse));
    tape->fault = (Fault){.code = FAULT_FORWARD, .op = OP_POW, .operands = 2, .a = k, .b = -1.0};
    if (a) fault_quotient(tape, *tape_data(tape, a));
    return tape_binary(tape, OP_MUL, a, 0);
}

Index tape_number_div(Tape *tape, double k, Index a) {
    Index inverse = tape_pow(tape, a, -1.0, 1);
    if (!inverse && a) fault_quotient(tape, k);
    return tape_binary(tape, OP_MUL, inverse, tape_leaf(tape, k));
}

// nodes as a list of nodes with two operands, so that walks and releases need no special case:
// (a, (b, (c, -)))
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
// what a node was computed from

static size_t operand_put(Index *operands, size_t n, Index operand) {
    if (operands) operands[n] = operand;
    return n + 1;
}

size_t tape_operands(const Tape *tape, Index i, Index *operands) {
    const Node *nodes = tape->nodes, *node = &nodes[i];
    size_t n = 0;
    switch (node->op) {
    case OP_LEAF:   // its moments are internal
    case OP_SHIFT:  // to its users it is a leaf
        return 0;
    case OP_POW:    // the exponent is internal
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
    double da = -0.0, db = -0.0;  // -0.0 + slope keeps the sign of a slope of 0
    double a = tape->data[node->a], b = tape->data[node->b], out = tape->data[i];
    if (!op_backward((Op)node->op, a, b, out, 1.0, &da, &db)) {
        return fault_op(tape, FAULT_BACKWARD, node->op, node->a, node->b, out);
    }
    if (n > 0) slopes[0] = da;
    if (n > 1) slopes[1] = db;
    return n;
}

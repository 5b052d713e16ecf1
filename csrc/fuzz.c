// Random programs on a tape, beside a model of it: `make -C csrc fuzz`.
//
// The bytes of an input are instructions: record, drop, set, go forward and backward, let the
// next allocation fail ... The model does the same on nodes that it never frees, by walks as
// simple as they can be. When they are compared, every number that can be reached must have
// the same bits, and the tape must be whole. A difference ends the program by abort().
//
// Built for libFuzzer it looks for inputs by itself. Else it runs those in the files that it
// is given: `make -C csrc fuzz-replay` does that with tests/corpus.

#include <limits.h>
#define CHECK_SCHEDULES
#include "tape.c"
#include "check.h"
#include "failing.h"

#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);       \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

// -----------------------------------------------------------------------------
// the model

enum {
    MOST_NODES = 6000, MOST_HANDLES = 64, MOST_OPERANDS = 8, MOST_POINTS = 6,
    MOST_PARAMETERS = 64, MOST_ROOM = 1000  // nodes that one instruction may make
};

typedef struct Model {          // of a node; numbers of others, 0 where there is none
    int op;
    double data, grad;
    int operands[MOST_OPERANDS], n;
    int is_integer, has_function, is_watched, is_dead;
    int has_moments;
    double m, v;
    Index index;                // of the tape's node, as it was found last
    int seen;                   // in which comparison or walk that was
    Index holds;
} Model;

typedef struct Program {
    const uint8_t *next, *end;
    Tape tape;
    Model nodes[MOST_NODES];
    int n;
    int seen;
    int fault;                  // the model's last
    int handles[MOST_HANDLES];  // nodes of the model that the program holds
    Index places[MOST_HANDLES]; // and the tape's
    int nhandles;

    // a network and an optimiser; they hold their parameters
    uint32_t sizes[4];
    uint8_t activations[3];
    int nlayers;
    int parameters[MOST_PARAMETERS], nparameters;
    Index parameter_places[MOST_PARAMETERS];
    AdamW adamw;
    int optimised[MOST_PARAMETERS], noptimised;
    Index optimised_places[MOST_PARAMETERS];
    int order[MOST_NODES], stack[MOST_NODES], next_operand[MOST_NODES];
    double saved[2 * MOST_NODES];
} Program;

static Program program;

static uint8_t byte(void) {
    return program.next < program.end ? *program.next++ : 0;
}

static int below(int n) {  // a number from 0 to n-1
    return byte() % n;
}

static double number(void) {
    static const double numbers[] = {
        0.0, 1.0, -1.0, 0.5, 2.0, -0.25, 0.1, 3.0, -2.0, 0.75, -0.0, 1e200, -1e200, 1e-200, 710.0,
        INFINITY, -INFINITY, NAN, 5e-324, -8.0,
    };
    return numbers[below(sizeof numbers / sizeof *numbers)];
}

static Model *at(int i) {
    return &program.nodes[i];
}

static int model_new(int op, double data, int a, int b) {
    int i = ++program.n;
    MUST(i < MOST_NODES);
    *at(i) = (Model){.op = op, .data = data, .operands = {a, b}, .n = a ? b ? 2 : 1 : 0};
    return i;
}

static int model_leaf(double data) {
    return model_new(OP_LEAF, data, 0, 0);
}

static int model_op(Op op, int a, int b) {
    double out = 0.0;
    if (!a || (!b && (op == OP_ADD || op == OP_MUL || op == OP_POW || op == OP_POWER || op == OP_LARGER))) return 0;
    if (!op_forward(op, at(a)->data, b ? at(b)->data : 0.0, &out)) {
        program.fault = FAULT_FORWARD;
        return 0;
    }
    return model_new((int)op, out, a, b);
}

static int model_pow(int a, double k, int is_integer) {
    int exponent = model_leaf(k);
    at(exponent)->is_integer = is_integer;
    return model_op(OP_POW, a, exponent);
}

static int model_neg(int a) {
    return model_op(OP_MUL, a, model_leaf(-1.0));
}

static int model_sub(int a, int b) {
    return model_op(OP_ADD, a, model_neg(b));
}

static int model_div(int a, int b) {
    return model_op(OP_MUL, a, model_pow(b, -1.0, 1));
}

// a number or a node, as in Python
typedef struct Item {
    int node;
    double number;
} Item;

static int failed_item(Item x) {
    return x.node < 0;
}

static Item item_of(int node) {
    return (Item){.node = node ? node : -1};
}

static int node_of(Item x) {
    return x.node ? x.node : model_leaf(x.number);
}

static Item item_add(Item a, Item b) {
    if (failed_item(a) || failed_item(b)) return (Item){.node = -1};
    if (!a.node && !b.node) return (Item){.number = a.number + b.number};
    if (!a.node) return item_of(model_op(OP_ADD, b.node, node_of(a)));  // Python asks b
    return item_of(model_op(OP_ADD, a.node, node_of(b)));
}

static Item item_mul(Item a, Item b) {
    if (!a.node && !b.node) return (Item){.number = a.number * b.number};
    if (!a.node) return item_of(model_op(OP_MUL, b.node, node_of(a)));
    return item_of(model_op(OP_MUL, a.node, node_of(b)));
}

static int model_dot(Item total, const Item *w, const Item *x, int n) {
    for (int i = 0; i < n; i++) total = item_add(total, item_mul(w[i], x[i]));
    return failed_item(total) ? 0 : node_of(total);
}

static int model_sum(Item total, const Item *x, int n) {
    for (int i = 0; i < n; i++) total = item_add(total, x[i]);
    return failed_item(total) ? 0 : node_of(total);
}

static int model_exponentials(const int *x, int n, int *ex) {
    int largest = x[0];
    Item items[MOST_OPERANDS];
    for (int i = 1; i < n; i++) largest = model_op(OP_LARGER, largest, x[i]);
    for (int i = 0; i < n; i++) {
        ex[i] = model_op(OP_EXP, model_op(OP_ADD, x[i], model_op(OP_SHIFT, largest, 0)), 0);
        if (!ex[i]) return 0;
        items[i] = item_of(ex[i]);
    }
    return model_sum((Item){0}, items, n);
}

static int model_softmax(const int *x, int n, int *out) {
    int ex[MOST_OPERANDS], denom = model_exponentials(x, n, ex);
    for (int i = 0; i < n && denom; i++) {
        out[i] = model_div(ex[i], denom);
        if (!out[i]) return 0;
    }
    return denom;
}

static int model_cross_entropy(const int *x, int n, int target) {
    int ex[MOST_OPERANDS], denom = model_exponentials(x, n, ex), quotient, logarithm;
    if (!denom || !(quotient = model_div(ex[target], denom))) return 0;
    return (logarithm = model_op(OP_LOG, quotient, 0)) ? model_neg(logarithm) : 0;
}

static int model_mlp(const Item *inputs, int *out) {
    const int *p = program.parameters;
    Item x[MOST_OPERANDS];
    memcpy(x, inputs, program.sizes[0] * sizeof *x);
    for (int l = 0; l < program.nlayers; l++) {
        int nin = (int)program.sizes[l], nout = (int)program.sizes[l + 1];
        for (int k = 0; k < nout; k++, p += nin + 1) {
            int act = p[nin];
            for (int i = 0; i < nin && act; i++) {
                int product = model_op(OP_MUL, p[i], node_of(x[i]));
                act = model_op(OP_ADD, act, product);
            }
            if (act && program.activations[l]) act = model_op(program.activations[l], act, 0);
            if (!act) return 0;
            out[k] = act;
        }
        for (int k = 0; k < nout; k++) x[k] = item_of(out[k]);
    }
    return 1;
}

static int model_mean_cross_entropy(const Item *x, const int32_t *labels, int n) {
    int nin = (int)program.sizes[0], nout = (int)program.sizes[program.nlayers];
    int total = model_leaf(0.0);
    for (int i = 0; i < n; i++) {
        Item inputs[MOST_OPERANDS];
        int logits[MOST_OPERANDS], loss;
        for (int k = 0; k < nin; k++) inputs[k] = item_of(node_of(x[i * nin + k]));
        if (!model_mlp(inputs, logits)) return 0;
        if (!(loss = model_cross_entropy(logits, nout, labels[i]))) return 0;
        total = model_op(OP_ADD, total, loss);
    }
    return model_op(OP_MUL, total, model_leaf(1.0 / n));
}

// the depth-first order below root
static int model_walk(int root, int forward) {
    int n = 0, depth = 0, mark = ++program.seen;
    program.stack[depth++] = root;
    at(root)->seen = mark;
    program.next_operand[root] = 0;
    while (depth) {
        int i = program.stack[depth - 1];
        int operands = at(i)->op == OP_SHIFT && !forward ? 0 : at(i)->n;
        if (program.next_operand[i] == operands) {
            program.order[n++] = i;
            depth--;
            continue;
        }
        int operand = at(i)->operands[program.next_operand[i]++];
        if (at(operand)->seen == mark) continue;
        at(operand)->seen = mark;
        program.next_operand[operand] = 0;
        program.stack[depth++] = operand;
    }
    return n;
}

static void model_save(int n) {
    for (int k = 0; k < n; k++) {
        program.saved[2 * k] = at(program.order[k])->data;
        program.saved[2 * k + 1] = at(program.order[k])->grad;
    }
}

static int model_restore(int n, int fault_code) {
    for (int k = 0; k < n; k++) {
        at(program.order[k])->data = program.saved[2 * k];
        at(program.order[k])->grad = program.saved[2 * k + 1];
    }
    program.fault = fault_code;
    return -1;
}

// what a function of the owner's does here, as a rule of a node, forward and backward
static void own_backward(Model *node) {
    for (int i = 0; i < node->n; i++) at(node->operands[i])->grad += 2.0 * node->grad;
}

static int rule_backward(int i) {
    Model *node = at(i);
    double unused = 0.0;
    if (node->op == OP_USER || node->op == OP_SHIFT || node->op == OP_LARGER) return 1;
    Model *a = node->n > 0 ? at(node->operands[0]) : NULL, *b = node->n > 1 ? at(node->operands[1]) : NULL;
    return !a || op_backward((Op)node->op, a->data, b ? b->data : 0.0, node->data, node->grad,
                             &a->grad, b ? &b->grad : &unused);
}

static int model_rule(int i) {
    if (rule_backward(i)) return 0;
    program.fault = FAULT_BACKWARD;
    return -1;
}

static int model_backward(int root, int with_functions) {
    int n = model_walk(root, 0);
    for (int k = 0; k < n && !with_functions; k++) {
        if (at(program.order[k])->has_function) return program.fault = FAULT_USER, -1;
    }
    model_save(n);
    at(root)->grad = 1.0;
    for (int k = n; k > 0; k--) {
        int i = program.order[k - 1];
        if (at(i)->has_function) {
            own_backward(at(i));
        } else if (!rule_backward(i)) {
            return model_restore(n, FAULT_BACKWARD);
        }
    }
    return 0;
}

static int model_forward(int root, int with_functions) {
    int n = model_walk(root, 1);
    for (int k = 0; k < n && !with_functions; k++) {
        if (at(program.order[k])->op == OP_USER) return program.fault = FAULT_USER, -1;
    }
    model_save(n);
    for (int k = 0; k < n; k++) {
        Model *node = at(program.order[k]);
        if (node->op == OP_LEAF) continue;
        if (node->op == OP_USER) {
            node->data = 0.0;
            for (int i = 0; i < node->n; i++) node->data += 0.5 * at(node->operands[i])->data;
        } else if (!op_forward((Op)node->op, at(node->operands[0])->data,
                               node->n > 1 ? at(node->operands[1])->data : 0.0, &node->data)) {
            return model_restore(n, FAULT_FORWARD);
        }
    }
    for (int k = 0; k < n; k++) {
        if (at(program.order[k])->op != OP_LEAF) at(program.order[k])->grad = 0.0;
    }
    return 0;
}

static int model_adamw(void) {
    AdamW *adamw = &program.adamw;
    double decay1, decay2, square, m_hat, v_hat, root, ratio;
    int n = program.noptimised, failed_one = 0, i;
    double before[3 * MOST_PARAMETERS];
    if (!number_pow(adamw->beta1, adamw->t + 1, &decay1) || !number_pow(adamw->beta2, adamw->t + 1, &decay2)) return -1;
    for (i = 0; i < n && !failed_one; i++) {
        Model *p = at(program.optimised[i]);
        memcpy(before + 3 * i, (double[]){p->data, p->m, p->v}, 3 * sizeof(double));
        p->m = adamw->beta1 * p->m + (1 - adamw->beta1) * p->grad;
        failed_one = !number_pow(p->grad, 2.0, &square);
        if (failed_one) continue;
        p->v = adamw->beta2 * p->v + (1 - adamw->beta2) * square;
        failed_one = !number_div(p->m, 1 - decay1, &m_hat) || !number_div(p->v, 1 - decay2, &v_hat)
                     || !number_pow(v_hat, 0.5, &root) || !number_div(m_hat, root + adamw->eps, &ratio);
        if (!failed_one) p->data -= adamw->lr * (ratio + adamw->weight_decay * p->data);
    }
    if (!failed_one) return 0;
    while (i-- > 0) {
        Model *p = at(program.optimised[i]);
        p->data = before[3 * i];
        p->m = before[3 * i + 1];
        p->v = before[3 * i + 2];
    }
    return -1;
}

// -----------------------------------------------------------------------------
// the comparison

static int is_same_number(double x, double y) {
    return (isnan(x) && isnan(y)) || memcmp(&x, &y, sizeof x) == 0;
}

// node i of the model and all below it are on the tape, from place on
static void compare_below(int root, Index root_place) {
    int depth = 0, mark = program.seen;
    if (at(root)->seen == mark) {
        MUST(at(root)->index == root_place);
        return;
    }
    at(root)->seen = mark;
    at(root)->index = root_place;
    program.stack[depth++] = root;
    while (depth) {
        Model *node = at(program.stack[--depth]);
        const Node *found = tape_node(&program.tape, node->index);
        const Node *nodes = program.tape.nodes;
        Index operands[MOST_OPERANDS] = {found->a, found->b};
        MUST(is_living(&program.tape, node->index) && found->op == node->op);
        MUST(is_same_number(found->data, node->data) && is_same_number(found->grad, node->grad));
        MUST(((found->flags & NODE_FUNCTION) != 0) == node->has_function);
        MUST(((found->flags & NODE_WATCHED) != 0) == node->is_watched);
        MUST(((found->flags & NODE_INTEGER) != 0) == node->is_integer);
        if (node->op == OP_USER) {
            int n = 0;
            for (Index list = found->a; list; list = nodes[list].b) operands[n++] = nodes[list].a;
            MUST(n == node->n);
        } else if (node->op == OP_LEAF) {
            MUST((found->a != 0) == node->has_moments);
            if (node->has_moments) MUST(is_same_number(nodes[found->a].data, node->m) && is_same_number(nodes[found->a].grad, node->v));
        }
        for (int i = 0; i < node->n; i++) {
            Model *operand = at(node->operands[i]);
            MUST(operands[i] != 0);
            if (operand->seen == mark) {
                MUST(operand->index == operands[i]);
                continue;
            }
            operand->seen = mark;
            operand->index = operands[i];
            program.stack[depth++] = node->operands[i];
        }
    }
}

static void compare(void) {
    Index *holds = calloc((size_t)program.tape.used + 1, sizeof *holds);
    program.seen++;
    for (int i = 0; i < program.nhandles; i++) {
        compare_below(program.handles[i], program.places[i]);
        holds[program.places[i]]++;
    }
    for (int i = 0; i < program.nparameters; i++) {
        compare_below(program.parameters[i], program.parameter_places[i]);
        holds[program.parameter_places[i]]++;
    }
    for (int i = 0; i < program.noptimised; i++) {
        compare_below(program.optimised[i], program.optimised_places[i]);
        holds[program.optimised_places[i]]++;
    }
    MUST(tape_is_whole(&program.tape, holds));
    free(holds);
}

// -----------------------------------------------------------------------------
// the instructions

static int pick(void) {
    return program.nhandles ? below(program.nhandles) : -1;
}

static void hold(int model, Index place) {
    tape_hold(&program.tape, place);
    program.handles[program.nhandles] = model;
    program.places[program.nhandles++] = place;
}

static void drop(int handle) {
    Index place = program.places[handle];
    program.nhandles--;
    program.handles[handle] = program.handles[program.nhandles];
    program.places[handle] = program.places[program.nhandles];
    tape_release(&program.tape, place);
}

// what only the tape can fail with
static int is_out_of_memory(void) {
    return failed > 0 && program.tape.fault.code == FAULT_MEMORY;
}

// the tape's result beside the model's; a new handle
static void both(Index place, int model) {
    if (!place && is_out_of_memory()) return;
    MUST((place != 0) == (model != 0));
    if (!place) {
        MUST(program.tape.fault.code == program.fault);
    } else if (program.nhandles < MOST_HANDLES) {
        hold(model, place);
    } else {
        tape_discard(&program.tape, place);
    }
}

// what changes the model is done only if the tape had memory for it
#define BOTH(tape_call, model_call)                                       \
    do {                                                                  \
        int failed_tape = tape_call;                                      \
        if (failed_tape && is_out_of_memory()) break;                     \
        MUST(failed_tape == (model_call));                                \
        if (failed_tape) MUST(program.tape.fault.code == program.fault);  \
    } while (0)

// so many nodes and numbers, as C takes them and as the model does
typedef struct Items {
    Index nodes[MOST_OPERANDS * MOST_POINTS];
    double numbers[MOST_OPERANDS * MOST_POINTS];
    Item items[MOST_OPERANDS * MOST_POINTS];
} Items;

static Items pick_items(int n, int with_numbers) {
    Items x;
    memset(&x, 0, sizeof x);
    for (int i = 0; i < n; i++) {
        int choice = byte();
        if (!program.nhandles || (with_numbers && choice % 3 == 0)) {
            x.numbers[i] = x.items[i].number = number();
        } else {
            int handle = choice % program.nhandles;
            x.nodes[i] = program.places[handle];
            x.items[i].node = program.handles[handle];
        }
    }
    return x;
}

static void record_operation(int a, int b) {
    static const Op unary[] = {OP_RELU, OP_TANH, OP_EXP, OP_LOG, OP_SIGMOID, OP_SQRT, OP_SIN, OP_COS, OP_ABS};
    static const Op binary[] = {OP_ADD, OP_MUL, OP_POWER};
    Tape *tape = &program.tape;
    Index x = program.places[a], y = program.places[b];
    int mx = program.handles[a], my = program.handles[b], which = below(18);
    if (which < 9) {
        both(tape_unary(tape, unary[which], x), model_op(unary[which], mx, 0));
    } else if (which < 12) {
        both(tape_binary(tape, binary[which - 9], x, y), model_op(binary[which - 9], mx, my));
    } else if (which == 12) {
        both(tape_neg(tape, x), model_neg(mx));
    } else if (which == 13) {
        both(tape_sub(tape, x, y), model_sub(mx, my));
    } else if (which == 14) {
        both(tape_div(tape, x, y), model_div(mx, my));
    } else if (which == 15) {
        double k = number();
        int is_integer = below(2);
        both(tape_pow(tape, x, k, is_integer), model_pow(mx, k, is_integer));
    } else {
        double k = number();
        Op op = which == 16 ? OP_ADD : OP_MUL;
        both(tape_binary(tape, op, x, tape_leaf(tape, k)), model_op(op, mx, model_leaf(k)));
    }
}

static void record_sum_or_dot(void) {
    int n = below(6), is_dot = below(2);
    Items start = pick_items(1, 1), w = pick_items(n, 1), x = pick_items(n, 1);
    Index place = is_dot ? tape_dot(&program.tape, start.nodes[0], start.numbers[0], w.nodes, w.numbers, x.nodes, x.numbers, (size_t)n)
                         : tape_sum(&program.tape, start.nodes[0], start.numbers[0], x.nodes, x.numbers, (size_t)n);
    both(place, is_dot ? model_dot(start.items[0], w.items, x.items, n) : model_sum(start.items[0], x.items, n));
}

static void evaluate_sum_or_dot(void) {
    int n = below(6), is_dot = below(2);
    Items start = pick_items(1, 1), w = pick_items(n, 1), x = pick_items(n, 1);
    Index place = is_dot ? dot_evaluate(&program.tape, start.nodes[0], start.numbers[0], w.nodes, w.numbers, x.nodes, x.numbers, (size_t)n)
                         : sum_evaluate(&program.tape, start.nodes[0], start.numbers[0], x.nodes, x.numbers, (size_t)n);
    int model = is_dot ? model_dot(start.items[0], w.items, x.items, n) : model_sum(start.items[0], x.items, n);
    both(place, model_leaf(at(model)->data));
}

static void record_softmax(int is_recorded) {
    int n = 1 + below(4), model[MOST_OPERANDS], nodes[MOST_OPERANDS];
    Index out[MOST_OPERANDS];
    Items x = pick_items(n, 0);
    for (int i = 0; i < n; i++) nodes[i] = x.items[i].node;
    if (!program.nhandles) return;
    int result = is_recorded ? softmax(&program.tape, x.nodes, (size_t)n, out) : softmax_evaluate(&program.tape, x.nodes, (size_t)n, out);
    if (result < 0 && is_out_of_memory()) return;
    MUST((result == 0) == (model_softmax(nodes, n, model) != 0));
    for (int i = 0; i < n && result == 0; i++) both(out[i], is_recorded ? model[i] : model_leaf(at(model[i])->data));
}

static void record_cross_entropy(int is_recorded) {
    int n = 1 + below(4), target = below(n), nodes[MOST_OPERANDS];
    Items x = pick_items(n, 0);
    for (int i = 0; i < n; i++) nodes[i] = x.items[i].node;
    if (!program.nhandles) return;
    if (is_recorded) {
        both(cross_entropy(&program.tape, x.nodes, (size_t)n, (size_t)target), model_cross_entropy(nodes, n, target));
    } else {
        Index place = cross_entropy_evaluate(&program.tape, x.nodes, (size_t)n, (size_t)target);
        int model = model_cross_entropy(nodes, n, target);
        both(place, model ? model_leaf(at(model)->data) : 0);
    }
}

static void forget_network(void) {
    while (program.nparameters) tape_release(&program.tape, program.parameter_places[--program.nparameters]);
    program.nlayers = 0;
}

static void make_network(void) {
    static const uint8_t activations[] = {OP_TANH, OP_RELU, OP_LEAF};
    forget_network();
    program.nlayers = 1 + below(3);
    for (int l = 0; l <= program.nlayers; l++) program.sizes[l] = (uint32_t)(1 + below(3));
    for (int l = 0; l < program.nlayers; l++) program.activations[l] = activations[below(3)];
    MLP mlp = {(size_t)program.nlayers, program.sizes, program.activations, NULL};
    int n = (int)mlp_parameters(&mlp), tied = below(4) == 0;
    for (int i = 0; i < n; i++) {
        int handle = tied && program.nhandles ? below(2 * program.nhandles) : MOST_HANDLES;
        Index place = handle < program.nhandles ? program.places[handle] : 0;
        int model = place ? program.handles[handle] : 0;
        if (!place) {
            double data = (i * 7 % 5 - 2) * 0.25;
            place = tape_leaf(&program.tape, data);
            model = model_leaf(data);
        }
        if (!place) {
            forget_network();
            return;
        }
        tape_hold(&program.tape, place);
        program.parameters[i] = model;
        program.parameter_places[i] = place;
        program.nparameters++;
    }
}

static MLP network(void) {
    return (MLP){(size_t)program.nlayers, program.sizes, program.activations, program.parameter_places};
}

static void call_network(int is_recorded) {
    MLP mlp = network();
    Index out[MOST_OPERANDS];
    int model[MOST_OPERANDS];
    Items x = pick_items((int)program.sizes[0], 1);
    int result = is_recorded ? mlp_call(&program.tape, &mlp, x.nodes, x.numbers, out) : mlp_evaluate(&program.tape, &mlp, x.nodes, x.numbers, out);
    if (result < 0 && is_out_of_memory()) return;
    MUST((result == 0) == model_mlp(x.items, model));
    for (int i = 0; i < (int)program.sizes[program.nlayers] && result == 0; i++) {
        both(out[i], is_recorded ? model[i] : model_leaf(at(model[i])->data));
    }
}

static void record_loss(int is_recorded) {
    MLP mlp = network();
    int n = 1 + below(MOST_POINTS - 1);
    int32_t labels[MOST_POINTS];
    Items x = pick_items(n * (int)program.sizes[0], 1);
    for (int i = 0; i < n; i++) labels[i] = below((int)program.sizes[program.nlayers]);
    if (is_recorded) {
        both(mean_cross_entropy(&program.tape, &mlp, x.nodes, x.numbers, labels, (size_t)n),
             model_mean_cross_entropy(x.items, labels, n));
    } else {
        Index place = mean_cross_entropy_evaluate(&program.tape, &mlp, x.nodes, x.numbers, labels, (size_t)n);
        int model = model_mean_cross_entropy(x.items, labels, n);
        both(place, model ? model_leaf(at(model)->data) : 0);
    }
}

static void record_user_node(void) {
    int n = below(5);
    double data = number();
    Items x = pick_items(n, 0);
    if (!program.nhandles) return;
    int model = model_new(OP_USER, data, 0, 0);
    for (int i = 0; i < n; i++) at(model)->operands[i] = x.items[i].node;
    at(model)->n = n;
    both(tape_user(&program.tape, data, x.nodes, (size_t)n), model);
}

static void own_pass_backward(int handle) {
    Tape *tape = &program.tape;
    Index root = program.places[handle];
    size_t n = tape_walk(tape, root, 0);
    is_armed = 0;
    if (!n) return;  // no memory
    Index *order = malloc(n * sizeof *order);
    double *grads = malloc(n * sizeof *grads);
    MUST(order && grads);
    memcpy(order, tape->order, n * sizeof *order);
    tape_settle(tape);
    for (size_t k = 0; k < n; k++) grads[k] = tape->nodes[order[k]].grad;
    tape->nodes[root].grad = 1.0;
    ptrdiff_t now = (ptrdiff_t)n;
    while ((now = tape_backward_until(tape, order, now)) >= 0) {
        Node *node = &tape->nodes[order[now]];
        Index operands[MOST_OPERANDS] = {node->a, node->b};
        size_t count = 2;
        if (node->op == OP_LEAF || node->op == OP_SHIFT) count = 0;
        if (node->op == OP_USER) count = tape_operands(tape, order[now], operands);
        if (node->op == OP_LARGER) count = 2;
        for (size_t i = 0; i < count; i++) {
            if (operands[i]) tape->nodes[operands[i]].grad += 2.0 * node->grad;
        }
    }
    if (now == -2) {
        for (size_t k = 0; k < n; k++) tape->nodes[order[k]].grad = grads[k];
    }
    free(order);
    free(grads);
    BOTH(now == -2 ? -1 : 0, model_backward(program.handles[handle], 1));
}

static void own_pass_forward(int handle) {
    Tape *tape = &program.tape;
    size_t n = tape_walk(tape, program.places[handle], 1);
    is_armed = 0;
    if (!n) return;
    Index *order = malloc(n * sizeof *order);
    double *data = malloc(n * sizeof *data);
    MUST(order && data);
    memcpy(order, tape->order, n * sizeof *order);
    tape_settle(tape);
    for (size_t k = 0; k < n; k++) data[k] = tape->nodes[order[k]].data;
    ptrdiff_t now = 0;
    while ((now = tape_forward_until(tape, order, now, (ptrdiff_t)n)) >= 0 && now < (ptrdiff_t)n) {
        Index operands[MOST_OPERANDS];
        size_t count = tape_operands(tape, order[now], operands);
        double total = 0.0;
        for (size_t i = 0; i < count; i++) total += 0.5 * tape->nodes[operands[i]].data;
        tape->nodes[order[now++]].data = total;
    }
    for (size_t k = 0; k < n; k++) {
        if (now == -2) tape->nodes[order[k]].data = data[k];
        else if (tape->nodes[order[k]].op != OP_LEAF) tape->nodes[order[k]].grad = 0.0;
    }
    free(order);
    free(data);
    BOTH(now == -2 ? -1 : 0, model_forward(program.handles[handle], 1));
}

static void hold_operand(int handle) {
    Index operands[MOST_OPERANDS];
    const Model *model = at(program.handles[handle]);
    size_t n = tape_operands(&program.tape, program.places[handle], operands);
    size_t expected = model->op == OP_SHIFT ? 0 : model->op == OP_POW ? 1 : (size_t)model->n;
    MUST(n == expected);
    if (n == 0 || program.nhandles == MOST_HANDLES) return;
    size_t i = (size_t)below((int)n);
    hold(model->operands[i], operands[i]);
}

static void set_function(int handle, int on) {
    tape_set_function(&program.tape, program.places[handle], on);
    at(program.handles[handle])->has_function = on;
}

static void watch(int handle) {
    program.tape.nodes[program.places[handle]].flags |= NODE_WATCHED;
    at(program.handles[handle])->is_watched = 1;
}

static void forget_optimiser(void) {
    while (program.noptimised) tape_release(&program.tape, program.optimised_places[--program.noptimised]);
}

// over leaves among the handles or the parameters, one of them perhaps twice
static void make_optimiser(void) {
    int n = below(8), of_network = below(2);
    forget_optimiser();
    for (int i = 0; i < n; i++) {
        int count = of_network ? program.nparameters : program.nhandles;
        if (!count) break;
        int which = below(count);
        int model = of_network ? program.parameters[which] : program.handles[which];
        Index place = of_network ? program.parameter_places[which] : program.places[which];
        if (at(model)->op != OP_LEAF) continue;
        tape_hold(&program.tape, place);
        program.optimised[program.noptimised] = model;
        program.optimised_places[program.noptimised++] = place;
    }
    int result = adamw_init(&program.tape, program.optimised_places, (size_t)program.noptimised);
    for (int i = 0; i < program.noptimised; i++) {
        Model *p = at(program.optimised[i]);
        if (result == 0 || (!p->has_moments && program.tape.nodes[program.optimised_places[i]].a)) {
            p->has_moments = 1;
            p->m = p->v = 0.0;
        }
    }
    program.adamw = (AdamW){.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = below(4) ? 1e-8 : 0.0, .weight_decay = 0.01};
    if (result < 0) {
        MUST(is_out_of_memory());
        forget_optimiser();
    }
}

static void take_step(void) {
    AdamW before = program.adamw;
    int result = adamw_step(&program.tape, &program.adamw, program.optimised_places, (size_t)program.noptimised);
    if (result < 0 && is_out_of_memory()) return;
    AdamW after = program.adamw;
    program.adamw = before;
    MUST(result == model_adamw());
    MUST(after.t == before.t + (result == 0));
    program.adamw = after;
}

static void take_sgd_step(void) {
    sgd_step(&program.tape, 0.5, program.optimised_places, (size_t)program.noptimised);
    for (int i = 0; i < program.noptimised; i++) {
        Model *p = at(program.optimised[i]);
        p->data -= 0.5 * p->grad;
    }
}

static void forget_gradients(void) {
    zero_grad(&program.tape, program.parameter_places, (size_t)program.nparameters);
    for (int i = 0; i < program.nparameters; i++) at(program.parameters[i])->grad = 0.0;
}

static void bury_all(void) {
    for (Index i; (i = tape_dead(&program.tape));) {
        MUST(program.tape.nodes[i].op == OP_DEAD);
        tape_bury(&program.tape, i);
    }
}

// an arena without fresh places, and no room for walks: the next call has to ask for memory
static void shrink(void) {
    Tape *tape = &program.tape;
    if (!tape->used) return;
    MUST(tape_resize(tape, tape->used));
    free(tape->order);
    free(tape->saved);
    tape->order = NULL;
    tape->saved = NULL;
    tape->room = 0;
}

static void instruction(void) {
    Tape *tape = &program.tape;
    int what = below(32), handle, other;
    if (what == 0) {
        double data = number();
        both(tape_leaf(tape, data), model_leaf(data));
        return;
    }
    if (what == 1) {
        record_sum_or_dot();
        return;
    }
    if (what == 2) {
        make_network();
        return;
    }
    if (what == 3 || what == 4) {
        if (program.nlayers) call_network(what == 3);
        return;
    }
    if (what == 5 || what == 6 || what == 7) {
        if (program.nlayers) record_loss(what < 7);
        return;
    }
    if ((handle = pick()) < 0) return;
    Model *model = at(program.handles[handle]);
    switch (what) {
    case 8: case 9:
        if ((other = pick()) >= 0) record_operation(handle, other);
        break;
    case 10: case 11: record_softmax(what == 10); break;
    case 12: case 13: record_cross_entropy(what == 12); break;
    case 14: evaluate_sum_or_dot(); break;
    case 15: record_user_node(); break;
    case 16: case 17:
        BOTH(tape_backward(tape, program.places[handle]), model_backward(program.handles[handle], 0));
        break;
    case 18: case 19:
        BOTH(tape_forward(tape, program.places[handle]), model_forward(program.handles[handle], 0));
        break;
    case 20: model->data = number(); tape_node(tape, program.places[handle])->data = model->data; break;
    case 21: model->grad = number(); tape_node(tape, program.places[handle])->grad = model->grad; break;
    case 22: drop(handle); break;
    case 23: hold_operand(handle); break;
    case 24: set_function(handle, below(4) != 0); break;
    case 25: watch(handle); break;
    case 26: own_pass_backward(handle); break;
    case 27: own_pass_forward(handle); break;
    case 28: make_optimiser(); break;
    case 29: below(4) ? take_step() : take_sgd_step(); break;
    case 30: forget_gradients(); break;
    case 31:
        BOTH(node_backward(tape, program.places[handle]), model_rule(program.handles[handle]));
        break;
    }
}

// what is no instruction of the tape's
static void aside(void) {
    switch (below(6)) {
    case 0: compare(); break;
    case 1: bury_all(); break;
    case 2: shrink(); break;
    case 3: tape_settle(&program.tape); break;
    case 4: forget_optimiser(); break;
    case 5: forget_network(); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    long before = outstanding;
    program.next = bytes;
    program.end = bytes + size;
    program.n = program.nhandles = program.nparameters = program.noptimised = program.nlayers = 0;
    program.seen = 0;
    tape_init(&program.tape);
    while (program.next < program.end && program.n < MOST_NODES - MOST_ROOM) {
        int how = below(8);
        failed = allocations = 0;
        first_fails = how == 6 ? below(4) : LONG_MAX;
        last_fails = how == 6 && below(2) ? LONG_MAX - 1 : first_fails;
        is_armed = how == 6;
        if (how == 7) {
            is_armed = 0;
            aside();
        } else {
            instruction();
        }
        is_armed = 0;
    }
    failed = 0;
    compare();
    while (program.nhandles) drop(program.nhandles - 1);
    forget_network();
    forget_optimiser();
    bury_all();
    compare();
    MUST(program.tape.live == 0 && program.tape.kept == 0 && !program.tape.held);
    tape_free(&program.tape);
    MUST(outstanding == before);
    return 0;
}

#ifndef LIBFUZZER

int main(int argc, char **argv) {
    static uint8_t bytes[1 << 16];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof bytes, file));
        fclose(file);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}

#endif

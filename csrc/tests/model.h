// A model of the tape, to compare it with: the nodes are in an array that only grows, and all that
// the tape does is done by simple walks and the loops of Python. Only the arithmetic (ops.h) is shared.

#ifndef MICROGRAD_MODEL_H
#define MICROGRAD_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"

enum { MOST_TWINS = 6000, MOST_OPERANDS = 8 };

typedef struct Twin {  // of a node on the tape; nodes are known by their twins' numbers, from 1
    int op;
    double data, grad;
    int operands[MOST_OPERANDS], n;
    double slopes[MOST_OPERANDS];  // of OP_LINEAR
    int is_integer, has_function, is_watched;
    int has_moments;
    double m, v;
    int mark;          // of the last walk that was here
    int users;         // how many nodes and holds that can be reached use it, when last counted
    Index place;       // of the node, as the last comparison found it
} Twin;

static struct {
    Twin twins[MOST_TWINS];
    int n;
    int marks;                                       // how many walks there have been
    int order[MOST_TWINS];                           // what the last one has found
    struct {
        double data, grad;
    } saved[MOST_TWINS];  // before the pass, by position there
    Fault fault;
} model;

static Twin *twin(int i) {
    return &model.twins[i];
}

// a user node: the tape cannot recompute its number
static int is_user(const Twin *node) {
    return node->op == OP_USER || node->op == OP_LINEAR;
}

// the operands that tape_operands reports
static int twin_operands(const Twin *node) {
    return node->op == OP_SHIFT ? 0 : node->op == OP_POW ? 1 : node->n;
}

// -----------------------------------------------------------------------------
// recording: each returns the new node, or 0

static int model_fault(int code, int op, int operands, double a, double b, double out) {
    model.fault = (Fault){.code = code, .op = op, .operands = operands, .a = a, .b = b, .out = out};
    return 0;
}

static int model_new(Op op, double data, int a, int b) {
    if (++model.n == MOST_TWINS) abort();
    *twin(model.n) = (Twin){.op = (int)op, .data = data, .operands = {a, b}, .n = (a != 0) + (b != 0)};
    return model.n;
}

static int model_leaf(double data) {
    return model_new(OP_LEAF, data, 0, 0);
}

static int model_unary(Op op, int a) {
    double out = 0.0;
    if (!a) return 0;
    if (op_forward(op, twin(a)->data, 0.0, &out)) return model_new(op, out, a, 0);
    return model_fault(FAULT_FORWARD, (int)op, 1, twin(a)->data, 0.0, out);
}

static int model_binary(Op op, int a, int b) {
    double out = 0.0;
    if (!a || !b) return 0;
    if (op_forward(op, twin(a)->data, twin(b)->data, &out)) return model_new(op, out, a, b);
    return model_fault(FAULT_FORWARD, (int)op, 2, twin(a)->data, twin(b)->data, out);
}

static int model_pow(int a, double k, int is_integer) {
    int exponent = model_leaf(k);
    twin(exponent)->is_integer = is_integer;
    return model_binary(OP_POW, a, exponent);
}

static int model_neg(int a) {
    return model_binary(OP_MUL, a, model_leaf(-1.0));
}

static int model_sub(int a, int b) {
    return model_binary(OP_ADD, a, model_neg(b));
}

static int model_div(int a, int b) {
    int inverse = model_pow(b, -1.0, 1);
    if (!inverse && twin(b)->data == 0) model_fault(FAULT_DIVISION, 0, 2, twin(a)->data, twin(b)->data, 0.0);
    return model_binary(OP_MUL, a, inverse);
}

// slopes: NULL, or constants
static int model_user(double data, const int *operands, const double *slopes, int n) {
    int i = model_new(slopes ? OP_LINEAR : OP_USER, data, 0, 0);
    for (int k = 0; k < n; k++) twin(i)->operands[k] = operands[k];
    for (int k = 0; k < n && slopes; k++) twin(i)->slopes[k] = slopes[k];
    twin(i)->n = n;
    return i;
}

// -----------------------------------------------------------------------------
// sums, over nodes and numbers mixed as in a Python list

typedef struct Item {
    int node;       // 0: it is a number
    double number;
} Item;

static int node_of(Item x) {
    return x.node ? x.node : model_leaf(x.number);
}

static Item item_add(Item a, Item b) {
    if (!a.node && !b.node) return (Item){.number = a.number + b.number};
    if (!a.node) return item_add(b, a);  // number + Value is Value.__radd__, which puts the number second
    return (Item){.node = model_binary(OP_ADD, a.node, node_of(b))};
}

static Item item_mul(Item a, Item b) {
    if (!a.node && !b.node) return (Item){.number = a.number * b.number};
    if (!a.node) return item_mul(b, a);
    return (Item){.node = model_binary(OP_MUL, a.node, node_of(b))};
}

static int model_dot(Item total, const Item *w, const Item *x, int n) {
    for (int i = 0; i < n; i++) total = item_add(total, item_mul(w[i], x[i]));
    return node_of(total);
}

static int model_sum(Item total, const Item *x, int n) {
    for (int i = 0; i < n; i++) total = item_add(total, x[i]);
    return node_of(total);
}

// -----------------------------------------------------------------------------
// networks and losses

// exp(x - max(x)) into ex, and their sum
static int model_exponentials(const Item *x, int n, Item *ex) {
    int largest = x[0].node;
    for (int i = 1; i < n; i++) largest = model_binary(OP_LARGER, largest, x[i].node);
    for (int i = 0; i < n; i++) {
        int shifted = model_binary(OP_ADD, x[i].node, model_unary(OP_SHIFT, largest));
        ex[i] = (Item){.node = model_unary(OP_EXP, shifted)};
        if (!ex[i].node) return 0;
    }
    return model_sum((Item){0}, ex, n);
}

static int model_softmax(const Item *x, int n, int *out) {
    Item ex[MOST_OPERANDS];
    int denom = model_exponentials(x, n, ex);
    for (int i = 0; i < n && denom; i++) {
        out[i] = model_div(ex[i].node, denom);
        if (!out[i]) return 0;
    }
    return denom;
}

static int model_cross_entropy(const Item *x, int n, int target) {
    Item ex[MOST_OPERANDS];
    int denom = model_exponentials(x, n, ex);
    if (!denom) return 0;
    int logarithm = model_unary(OP_LOG, model_div(ex[target].node, denom));
    return logarithm ? model_neg(logarithm) : 0;
}

// of a network as C has it, over these parameters
static int model_mlp(const MLP *mlp, const int *parameters, const Item *inputs, int *out) {
    Item x[MOST_OPERANDS];
    memcpy(x, inputs, mlp->sizes[0] * sizeof *x);
    for (size_t l = 0; l < mlp->nlayers; l++) {
        int nin = (int)mlp->sizes[l], nout = (int)mlp->sizes[l + 1], activation = mlp->activations[l];
        for (int k = 0; k < nout; k++) {
            int act = parameters[nin];
            for (int i = 0; i < nin; i++) {
                act = model_binary(OP_ADD, act, model_binary(OP_MUL, parameters[i], node_of(x[i])));
            }
            out[k] = activation ? model_unary((Op)activation, act) : act;
            parameters += nin + 1;
        }
        for (int k = 0; k < nout; k++) x[k] = (Item){.node = out[k]};
    }
    return 1;
}

static int model_mean_cross_entropy(const MLP *mlp, const int *parameters, const Item *x, const int32_t *labels,
                                    int n) {
    int nin = (int)mlp->sizes[0], nout = (int)mlp->sizes[mlp->nlayers];
    int total = model_leaf(0.0);
    for (int i = 0; i < n; i++) {
        Item inputs[MOST_OPERANDS], logits[MOST_OPERANDS];
        int out[MOST_OPERANDS];
        for (int k = 0; k < nin; k++) inputs[k] = (Item){.node = node_of(x[i * nin + k])};
        model_mlp(mlp, parameters, inputs, out);
        for (int k = 0; k < nout; k++) logits[k] = (Item){.node = out[k]};
        total = model_binary(OP_ADD, total, model_cross_entropy(logits, nout, labels[i]));
        if (!total) return 0;
    }
    return model_binary(OP_MUL, total, model_leaf(1.0 / n));
}

// -----------------------------------------------------------------------------
// passes

// go on with the depth-first order, which has n nodes, by those below this root; how many it has then
static int model_walk_on(int root, int forward, int n) {
    static int stack[MOST_TWINS], next[MOST_TWINS];  // and by node: the operand that comes next
    int depth = 0, mark = model.marks;
    if (twin(root)->mark == mark) return n;
    stack[depth++] = root;
    twin(root)->mark = mark;
    next[root] = 0;
    while (depth) {
        int i = stack[depth - 1];
        if (next[i] == (twin(i)->op == OP_SHIFT && !forward ? 0 : twin(i)->n)) {
            model.order[n++] = i;
            depth--;
            continue;
        }
        int operand = twin(i)->operands[next[i]++];
        if (twin(operand)->mark == mark) continue;
        twin(operand)->mark = mark;
        next[operand] = 0;
        stack[depth++] = operand;
    }
    return n;
}

// the order below all of these roots, one after the other, into model.order
static int model_walk(const int *roots, int nroots, int forward) {
    int n = 0;
    model.marks++;
    for (int k = 0; k < nroots; k++) n = model_walk_on(roots[k], forward, n);
    for (int k = 0; k < n; k++) {
        model.saved[k].data = twin(model.order[k])->data;
        model.saved[k].grad = twin(model.order[k])->grad;
    }
    return n;
}

static int model_restore(int n) {
    for (int k = 0; k < n; k++) {
        twin(model.order[k])->data = model.saved[k].data;
        twin(model.order[k])->grad = model.saved[k].grad;
    }
    return -1;
}

// a node's own rule, once
static int model_rule(int i) {
    Twin *node = twin(i), none = {0};
    if (node->op == OP_LINEAR) {
        for (int k = 0; k < node->n; k++) twin(node->operands[k])->grad += node->slopes[k] * node->grad;
        return 0;
    }
    Twin *a = node->n > 0 ? twin(node->operands[0]) : &none, *b = node->n > 1 ? twin(node->operands[1]) : &none;
    if (op_backward((Op)node->op, a->data, b->data, node->data, node->grad, &a->grad, &b->grad)) return 0;
    model_fault(FAULT_BACKWARD, node->op, node->n, a->data, b->data, node->data);
    return -1;
}

// what a node's own function does instead, in these tests; and what a user node's does forward
static void function_backward(const Twin *node) {
    for (int i = 0; i < twin_operands(node); i++) twin(node->operands[i])->grad += 2.0 * node->grad;
}

static double function_forward(const Twin *node) {
    double total = 0.0;
    for (int i = 0; i < node->n; i++) total += 0.5 * twin(node->operands[i])->data;
    return total;
}

// Both passes return 0, or -1 and leave everything as it was; without functions, where
// there is one that is a fault.
static int model_backward(int root, int with_functions) {
    int n = model_walk(&root, 1, 0);
    for (int k = 0; k < n && !with_functions; k++) {
        if (twin(model.order[k])->has_function) return model_fault(FAULT_USER, 0, 0, 0.0, 0.0, 0.0) - 1;
    }
    twin(root)->grad = 1.0;
    for (int k = n - 1; k >= 0; k--) {
        int i = model.order[k];
        if (twin(i)->has_function) {
            function_backward(twin(i));
        } else if (model_rule(i) < 0) {
            return model_restore(n);
        }
    }
    return 0;
}

static int model_forward_all(const int *roots, int nroots, int with_functions) {
    int n = model_walk(roots, nroots, 1);
    for (int k = 0; k < n && !with_functions; k++) {
        if (is_user(twin(model.order[k]))) return model_fault(FAULT_USER, 0, 0, 0.0, 0.0, 0.0) - 1;
    }
    for (int k = 0; k < n; k++) {
        Twin *node = twin(model.order[k]);
        if (node->op == OP_LEAF) continue;
        double a = node->n > 0 ? twin(node->operands[0])->data : 0.0;
        double b = node->n > 1 ? twin(node->operands[1])->data : 0.0, out = 0.0;
        if (is_user(node)) {
            out = function_forward(node);
        } else if (!op_forward((Op)node->op, a, b, &out)) {
            model_fault(FAULT_FORWARD, node->op, node->n, a, b, out);
            return model_restore(n);
        }
        node->data = out;
        node->grad = 0.0;
    }
    return 0;
}

static int model_forward(int root, int with_functions) {
    return model_forward_all(&root, 1, with_functions);
}

// -----------------------------------------------------------------------------
// recordings whose inputs change

enum { MOST_OUTPUTS = 3, MOST_INPUTS = 3, MOST_CHOICES = 4, MOST_ROW = 2 };

typedef struct ModelChoice {
    int integer, width, n;
    int takes[MOST_ROW], items[MOST_OPERANDS];
    int before[MOST_ROW];  // the takes' operands before the last call
} ModelChoice;

typedef struct ModelRecording {
    int outputs[MOST_OUTPUTS], noutputs, inputs[MOST_INPUTS], ninputs;
    ModelChoice choices[MOST_CHOICES];
    int nchoices;
    double data[MOST_INPUTS], grad[MOST_INPUTS];  // the inputs' before the last call
} ModelRecording;

static int model_recording_set(ModelRecording *recording, const double *numbers, const int64_t *integers) {
    for (int c = 0; c < recording->nchoices; c++) {
        const ModelChoice *choice = &recording->choices[c];
        int64_t i = integers[choice->integer];
        if (i < 0 || i >= choice->n) return model_fault(FAULT_INDEX, 0, 2, (double)i, choice->n, 0.0) - 1;
    }
    for (int c = 0; c < recording->nchoices; c++) {
        ModelChoice *choice = &recording->choices[c];
        for (int j = 0; j < choice->width; j++) {
            int *operand = &twin(choice->takes[j])->operands[0];
            choice->before[j] = *operand;
            *operand = choice->items[integers[choice->integer] * choice->width + j];
        }
    }
    for (int k = 0; k < recording->ninputs; k++) {
        Twin *input = twin(recording->inputs[k]);
        recording->data[k] = input->data;
        recording->grad[k] = input->grad;
        input->data = numbers[k];
        input->grad = 0.0;
    }
    return 0;
}

static void model_recording_undo(const ModelRecording *recording) {
    for (int c = 0; c < recording->nchoices; c++) {
        const ModelChoice *choice = &recording->choices[c];
        for (int j = 0; j < choice->width; j++) twin(choice->takes[j])->operands[0] = choice->before[j];
    }
    for (int k = 0; k < recording->ninputs; k++) {
        twin(recording->inputs[k])->data = recording->data[k];
        twin(recording->inputs[k])->grad = recording->grad[k];
    }
}

// all that could have been chosen, and all outputs
static int model_recording_forward(const ModelRecording *recording) {
    int roots[MOST_OUTPUTS + MOST_CHOICES * MOST_OPERANDS], n = 0;
    for (int c = 0; c < recording->nchoices; c++) {
        const ModelChoice *choice = &recording->choices[c];
        for (int k = 0; k < choice->n * choice->width; k++) roots[n++] = choice->items[k];
    }
    for (int k = 0; k < recording->noutputs; k++) roots[n++] = recording->outputs[k];
    return model_forward_all(roots, n, 0);
}

// -----------------------------------------------------------------------------
// AdamW

static int model_divide(double x, double y, double *out) {
    if (number_div(x, y, out)) return 1;
    return model_fault(FAULT_DIVISION, 0, 2, x, y, 0.0);
}

static int model_power(double x, double k, double *out) {
    if (number_pow(x, k, out)) return 1;
    return model_fault(FAULT_FORWARD, OP_POW, 2, x, k, 0.0);
}

static int model_update(const AdamW *adamw, double bias1, double bias2, Twin *p) {
    double square, m_hat, v_hat, root, ratio;
    p->m = adamw->beta1 * p->m + (1 - adamw->beta1) * p->grad;
    if (!model_power(p->grad, 2.0, &square)) return 0;
    p->v = adamw->beta2 * p->v + (1 - adamw->beta2) * square;
    if (!model_divide(p->m, bias1, &m_hat) || !model_divide(p->v, bias2, &v_hat)) return 0;
    if (!model_power(v_hat, 0.5, &root) || !model_divide(m_hat, root + adamw->eps, &ratio)) return 0;
    p->data -= adamw->lr * (ratio + adamw->weight_decay * p->data);
    return 1;
}

static int model_adamw_step(const AdamW *adamw, const int *parameters, int n) {
    Twin before[MOST_OPERANDS];
    double decay1, decay2;
    if (!model_power(adamw->beta1, adamw->t + 1, &decay1)) return -1;
    if (!model_power(adamw->beta2, adamw->t + 1, &decay2)) return -1;
    for (int i = 0; i < n; i++) before[i] = *twin(parameters[i]);
    for (int i = 0; i < n; i++) {
        if (model_update(adamw, 1 - decay1, 1 - decay2, twin(parameters[i]))) continue;
        for (int k = 0; k < n; k++) *twin(parameters[k]) = before[k];
        return -1;
    }
    return 0;
}

#endif

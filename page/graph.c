// Graphs to look at: a point's loss, and what the scratch pad computes. Each has a tape of its own, so
// that gradients that are stepped through here do not meet those of the training.

#include <stdlib.h>
#include "page.h"

typedef struct Graph {
    int is_started;
    Tape tape;
    Index root;
    Index *order;      // of the walk: operands before their users
    double *before;    // their gradients before the last pass
    GraphNode *nodes;  // the same nodes, copied for the script
    size_t n;
} Graph;

static Graph graphs[2];

static int failed(const Graph *graph) {
    page_failed(&graph->tape);
    return -1;
}

void graph_start(int which) {
    Graph *graph = &graphs[which];
    if (graph->is_started) tape_free(&graph->tape);
    free(graph->order);
    free(graph->nodes);
    free(graph->before);
    *graph = (Graph){.is_started = 1};
    tape_init(&graph->tape);
}

// -----------------------------------------------------------------------------
// operations, as Python's methods record them

// Every node is held until the next start: the script may use it again.
static uint32_t made(int which, Index i) {
    if (i) {
        tape_hold(&graphs[which].tape, i);
    } else {
        failed(&graphs[which]);
    }
    return i;
}

uint32_t graph_leaf(int which, double x) {
    return made(which, tape_leaf(&graphs[which].tape, x));
}

uint32_t graph_unary(int which, int op, uint32_t a) {
    return made(which, tape_unary(&graphs[which].tape, (Op)op, a));
}

static Index binary(Tape *tape, char sign, Index a, Index b) {
    switch (sign) {
    case '+': return tape_binary(tape, OP_ADD, a, b);
    case '-': return tape_sub(tape, a, b);
    case '*': return tape_binary(tape, OP_MUL, a, b);
    case '/': return tape_div(tape, a, b);
    default: return tape_binary(tape, OP_POWER, a, b);
    }
}

uint32_t graph_binary(int which, char sign, uint32_t a, uint32_t b) {
    return made(which, binary(&graphs[which].tape, sign, a, b));
}

uint32_t graph_node_number(int which, char sign, uint32_t a, double k, int is_integer) {
    Tape *tape = &graphs[which].tape;
    switch (sign) {
    case '-': return made(which, tape_sub_number(tape, a, k));
    case '/': return made(which, tape_div_number(tape, a, k));
    case '^': return made(which, tape_pow(tape, a, k, is_integer));
    default: return made(which, binary(tape, sign, a, tape_leaf(tape, k)));
    }
}

// Python gives k + a and k * a to a, which puts the number second.
uint32_t graph_number_node(int which, char sign, double k, uint32_t a) {
    Tape *tape = &graphs[which].tape;
    switch (sign) {
    case '-': return made(which, tape_number_sub(tape, k, a));
    case '/': return made(which, tape_number_div(tape, k, a));
    case '^': return made(which, tape_binary(tape, OP_POWER, tape_leaf(tape, k), a));
    default: return made(which, binary(tape, sign, a, tape_leaf(tape, k)));
    }
}

// -----------------------------------------------------------------------------
// the graph below a root

int graph_root(int which, uint32_t root) {
    Graph *graph = &graphs[which];
    size_t n = tape_walk(&graph->tape, root, 0);
    Index *order = realloc(graph->order, (n + 1) * sizeof *order);
    if (order) graph->order = order;
    GraphNode *nodes = realloc(graph->nodes, (n + 1) * sizeof *nodes);
    if (nodes) graph->nodes = nodes;
    double *before = realloc(graph->before, (n + 1) * sizeof *before);
    if (before) graph->before = before;
    if (n == 0 || !order || !nodes || !before) return failed(graph);
    graph->root = root;
    graph->n = 0;
    for (size_t k = 0; k < n; k++) {
        Index i = graph->tape.order[k];
        // the exponent of a ** number, a leaf that Python does not show, comes right before the power
        if (graph->tape.nodes[i].op == OP_POW) graph->n--;
        order[graph->n++] = i;
    }
    return (int)graph->n;
}

static GraphNode copied(const Tape *tape, Index i) {
    Index operands[2] = {0, 0};
    const Node *node = &tape->nodes[i];
    tape_operands(tape, i, operands);
    return (GraphNode){
        .data = tape->data[i],
        .grad = tape->grad[i],
        .exponent = node->op == OP_POW ? tape->data[node->b] : 0.0,
        .index = i,
        .op = node->op,
        .a = operands[0],
        .b = operands[1],
    };
}

const GraphNode *graph_nodes(int which) {
    Graph *graph = &graphs[which];
    tape_settle(&graph->tape);
    for (size_t k = 0; k < graph->n; k++) graph->nodes[k] = copied(&graph->tape, graph->order[k]);
    return graph->nodes;
}

const GraphNode *graph_node(int which, uint32_t i) {
    static GraphNode node;
    tape_settle(&graphs[which].tape);
    node = copied(&graphs[which].tape, i);
    return &node;
}

// cross_entropy(model([Value(x), Value(y)]), label), of a model with the run's numbers
int graph_point(double x, double y, int label) {
    graph_start(OF_POINT);
    Graph *graph = &graphs[OF_POINT];
    Index parameters[MOST_PARAMETERS], inputs[INPUTS], logits[CLASSES];
    const double *numbers = run_parameters(), point[INPUTS] = {x, y};
    int n = run_nparameters();
    for (int i = 0; i < n; i++) parameters[i] = graph_leaf(OF_POINT, numbers[i]);
    for (int k = 0; k < INPUTS; k++) inputs[k] = graph_leaf(OF_POINT, point[k]);
    MLP model = run_model(parameters);
    if (mlp_call(&graph->tape, &model, inputs, NULL, logits)) return failed(graph);
    Index loss = made(OF_POINT, cross_entropy(&graph->tape, logits, CLASSES, (size_t)label));
    return loss ? graph_root(OF_POINT, loss) : -1;
}

// -----------------------------------------------------------------------------
// backward

int graph_backward(int which) {
    Graph *graph = &graphs[which];
    for (size_t k = 0; k < graph->n; k++) graph->before[k] = *tape_grad(&graph->tape, graph->order[k]);
    return tape_backward(&graph->tape, graph->root) ? failed(graph) : 0;
}

int graph_steps(int which, int n) {
    Graph *graph = &graphs[which];
    for (size_t k = 0; k < graph->n; k++) *tape_grad(&graph->tape, graph->order[k]) = graph->before[k];
    if (n > 0) *tape_grad(&graph->tape, graph->root) = 1.0;
    for (size_t k = 1; k < (size_t)n && k <= graph->n; k++) {
        if (node_backward(&graph->tape, graph->order[graph->n - k])) return failed(graph);
    }
    return 0;
}

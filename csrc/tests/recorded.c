// Recordings whose inputs change, compared with fresh graphs: part of `make test`.
//
// A function builds a graph on a tape, the same nodes in the same places whatever its inputs and
// integers are. One graph is recorded and replayed. In each step the function builds a fresh one
// with the numbers of that step, and every node must have its bits in the recording.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tape.h"
#include "invariants.h"

static const char *function_now;
static uint64_t seed_now;

#define CHECK_CONTEXT fprintf(stderr, "%s, %lu: ", function_now, (unsigned long)seed_now)
#include "checks.h"

enum { MOST_LEAVES = 2000, MOST_NODES = 8000, MOST = 64, MOST_ITEMS = 256 };

// the parameters, and the arguments of a call
typedef struct Numbers {
    double weights[MOST_LEAVES], inputs[MOST];
    int64_t integers[MOST];
} Numbers;

typedef struct Chosen {
    size_t integer, n, width;
    Index takes[MOST], items[MOST_ITEMS];
} Chosen;

typedef struct Graph {
    Tape tape;
    RNG rng;  // decides what a random function does: the same for the same seed
    const Numbers *numbers;
    Index weights[MOST_LEAVES], inputs[MOST], outputs[MOST], logarithms[MOST];
    size_t nweights, ninputs, noutputs, nlogarithms, nintegers, nchoices;
    size_t ranges[MOST];  // by integer
    Chosen choices[MOST];
    Recording recording;
} Graph;

typedef int Function(Graph *graph);  // 0: an operation had no result

// -----------------------------------------------------------------------------
// what functions are made of

static int below(Graph *graph, size_t n) {
    return (int)(rng_random_u32(&graph->rng) % n);
}

// a parameter: a leaf that its owner holds
static Index weight(Graph *graph) {
    Index i = tape_leaf(&graph->tape, graph->numbers->weights[graph->nweights]);
    tape_hold(&graph->tape, i);
    if (graph->nweights % 3 == 1) tape_watch(&graph->tape, i);  // refs does not count the owner of a watched node
    return graph->weights[graph->nweights++] = i;
}

static const Index *weights(Graph *graph, size_t n) {
    const Index *first = graph->weights + graph->nweights;
    while (n--) weight(graph);
    return first;
}

static Index input(Graph *graph) {
    Index i = tape_leaf(&graph->tape, graph->numbers->inputs[graph->ninputs]);
    return graph->inputs[graph->ninputs++] = i;
}

static void output(Graph *graph, Index i) {
    tape_hold(&graph->tape, i);
    graph->outputs[graph->noutputs++] = i;
}

static size_t integer(Graph *graph, size_t range) {
    graph->ranges[graph->nintegers] = range;
    return graph->nintegers++;
}

// take(items, i): the row that this integer chooses
static const Index *take(Graph *graph, size_t which, const Index *items, size_t width) {
    Chosen *chosen = &graph->choices[graph->nchoices++];
    size_t n = graph->ranges[which], i = (size_t)graph->numbers->integers[which];
    chosen->integer = which;
    chosen->n = n;
    chosen->width = width;
    memcpy(chosen->items, items, n * width * sizeof(Index));
    for (size_t j = 0; j < width; j++) chosen->takes[j] = tape_unary(&graph->tape, OP_TAKE, items[i * width + j]);
    return chosen->takes;
}

static Index unary(Graph *graph, Op op, Index a) {
    return tape_unary(&graph->tape, op, a);
}

// an operation that may fail
static Index logarithm(Graph *graph, Index a) {
    return graph->logarithms[graph->nlogarithms++] = unary(graph, OP_LOG, a);
}

static Index add(Graph *graph, Index a, Index b) {
    return tape_binary(&graph->tape, OP_ADD, a, b);
}

static Index mul(Graph *graph, Index a, Index b) {
    return tape_binary(&graph->tape, OP_MUL, a, b);
}

static Index number(Graph *graph, double x) {
    return tape_leaf(&graph->tape, x);
}

static Index dot(Graph *graph, Index start, const Index *w, const Index *x, size_t n) {
    return tape_dot(&graph->tape, start, 0.0, w, NULL, x, NULL, n);
}

// the cross-entropy -log(exp(x[i]) / sum(exp(x))), where i is this integer
static Index loss(Graph *graph, size_t which, const Index *x, size_t n) {
    Index ex[MOST], sum;
    if (exponentials(&graph->tape, x, n, ex, &sum) < 0) return 0;
    Index chosen = *take(graph, which, ex, 1);
    Index log_p = logarithm(graph, tape_div(&graph->tape, chosen, sum));
    return log_p ? tape_neg(&graph->tape, log_p) : 0;
}

// -----------------------------------------------------------------------------
// recording, and fresh graphs

static int build(Graph *graph, Function *function, const Numbers *numbers) {
    memset(graph, 0, sizeof *graph);
    graph->numbers = numbers;
    tape_init(&graph->tape);
    rng_init(&graph->rng, seed_now);
    return function(graph);
}

static void make_recording(Graph *graph) {
    Tape *tape = &graph->tape;
    Recording *recording = &graph->recording;
    CHECK(recording_start(tape, recording, graph->outputs, graph->noutputs, graph->inputs, graph->ninputs) == 0);
    for (size_t c = 0; c < graph->nchoices; c++) {
        const Chosen *chosen = &graph->choices[c];
        CHECK(recording_choice(tape, recording, chosen->integer, chosen->takes, chosen->width, chosen->items, chosen->n)
              == 0);
    }
    CHECK(recording_end(tape, recording) == 0);
    CHECK(tape_is_whole(tape, NULL));
}

static int is_compiled(const Graph *graph) {
    return tape_replay(&graph->tape, graph->recording.outputs[0]) != NULL;
}

static void drop(Graph *graph) {
    tape_free(&graph->tape);
}

static void forget(Graph *graph) {
    recording_free(&graph->tape, &graph->recording);
    CHECK(tape_is_whole(&graph->tape, NULL));
    drop(graph);
}

static int is_same(double x, double y) {
    return (x != x && y != y) || memcmp(&x, &y, sizeof x) == 0;
}

static int has_same(Tape *x, const Tape *y, Index i) {
    return is_same(*tape_data(x, i), y->data[i]) && is_same(*tape_grad(x, i), y->grad[i]);
}

// numbers that must be in their nodes before anything is settled: of leaves that are held, and outputs
static int has_results(Graph *graph, const Graph *fresh) {
    Tape *x = &graph->tape;
    const Tape *y = &fresh->tape;
    int same = 1;
    for (size_t k = 0; k < graph->nweights; k++) same &= has_same(x, y, graph->weights[k]);
    for (size_t k = 0; k < graph->ninputs; k++) same &= has_same(x, y, graph->inputs[k]);
    for (size_t k = 0; k < graph->noutputs; k++) same &= has_same(x, y, graph->outputs[k]);
    return same;
}

// all nodes of the forward pass, settled
static int has_all(Graph *graph, const Graph *fresh) {
    Tape *tape = &graph->tape;
    tape_settle(tape);
    int same = 1;
    size_t n = tape_walk(tape, graph->recording.root, 1);
    for (size_t k = 0; k < n; k++) {
        Index i = tape->order[k];
        if (tape->nodes[i].op == OP_LIST) continue;
        same &= tape->nodes[i].op == fresh->tape.nodes[i].op && has_same(tape, &fresh->tape, i);
    }
    return same;
}

static void draw(RNG *rng, double *numbers, size_t n) {
    for (size_t k = 0; k < n; k++) numbers[k] = rng_uniform(rng, -1, 1);
}

static void draw_call(RNG *rng, Numbers *numbers, const Graph *graph) {
    draw(rng, numbers->inputs, MOST);
    for (size_t k = 0; k < graph->nintegers; k++) {
        numbers->integers[k] = rng_random_u32(rng) % (uint32_t)graph->ranges[k];
    }
}

// what a step does besides the call, and what it compares when
enum {
    ALL_IF_FAILED = 1,
    RESULTS = 2,
    ALL = 4,                              // after forward
    BACKWARD = 8,
    BACKWARD_TWICE = 16,
    RESULTS_AFTER_BACKWARD = 32,
    ALL_AFTER_BACKWARD = 64
};

// One call with these numbers, and perhaps backward; gradients add up in the leaves. Returns 0 if the
// call fails: then all numbers must be those before it, which the last fresh graph has.
static int step(Graph *graph, Graph *fresh, Function *function, const Numbers *numbers, int what) {
    Tape *tape = &graph->tape;
    static Graph next;
    int is_built = build(&next, function, numbers);
    int result = recording_set(tape, &graph->recording, numbers->inputs, numbers->integers);
    CHECK(result == 0);
    result = recording_forward(tape, &graph->recording);
    CHECK(result == (is_built ? 0 : -1));
    if (!is_built) {
        CHECK(tape->fault.code == next.tape.fault.code && tape->fault.op == next.tape.fault.op);
        CHECK(is_same(tape->fault.a, next.tape.fault.a));
        recording_undo(tape, &graph->recording);
        CHECK(has_results(graph, fresh));
        if (what & ALL_IF_FAILED) CHECK(has_all(graph, fresh));
        drop(&next);
        return 0;
    }
    for (Index i = 1; i <= next.tape.used; i++) {
        if (next.tape.nodes[i].op == OP_LEAF) next.tape.grad[i] = fresh->tape.grad[i];
    }
    for (size_t k = 0; k < next.ninputs; k++) next.tape.grad[next.inputs[k]] = 0.0;
    drop(fresh);
    *fresh = next;
    if (what & RESULTS) CHECK(has_results(graph, fresh));
    if (what & ALL) CHECK(has_all(graph, fresh));
    for (int times = what & BACKWARD ? what & BACKWARD_TWICE ? 2 : 1 : 0; times > 0; times--) {
        int expected = tape_backward(&fresh->tape, fresh->outputs[0]);
        CHECK(tape_backward(tape, graph->outputs[0]) == expected);
        CHECK(expected == 0 || tape->fault.op == fresh->tape.fault.op);
        if (what & RESULTS_AFTER_BACKWARD) CHECK(has_results(graph, fresh));
    }
    if (what & ALL_AFTER_BACKWARD) CHECK(has_all(graph, fresh));
    return 1;
}

typedef struct Outcome {
    int is_built, is_compiled, steps, failed;
} Outcome;

// record the function once, and call it again and again
static Outcome replay(const char *name, Function *function, uint64_t seed, int steps) {
    static Graph graph, fresh;
    static Numbers numbers;
    Outcome outcome = {0};
    RNG rng;
    function_now = name;
    seed_now = seed;
    rng_init(&rng, seed + 1000);
    memset(&numbers, 0, sizeof numbers);
    draw(&rng, numbers.weights, MOST_LEAVES);
    draw(&rng, numbers.inputs, MOST);
    int is_built = build(&graph, function, &numbers);  // to know how many integers there are, and their ranges
    draw_call(&rng, &numbers, &graph);
    drop(&graph);
    outcome.is_built = build(&graph, function, &numbers) && is_built;
    if (!outcome.is_built) {
        drop(&graph);
        return outcome;
    }
    build(&fresh, function, &numbers);
    make_recording(&graph);
    outcome.is_compiled = is_compiled(&graph);
    for (; outcome.steps < steps; outcome.steps++) {
        Numbers before = numbers;
        draw_call(&rng, &numbers, &graph);
        int what = (int)(rng_random_u32(&rng) >> 8), is_done = step(&graph, &fresh, function, &numbers, what);
        outcome.failed += !is_done;
        if (!is_done) numbers = before;
        for (int k = what >> 8 & 3; k > 0 && is_done; k--) {  // set parameters, as an optimiser does
            size_t at = rng_random_u32(&rng) % (graph.nweights + 1);
            if (at == graph.nweights) continue;
            double x = rng_uniform(&rng, -1, 1);
            numbers.weights[at] = fresh.tape.data[graph.weights[at]] = x;
            *tape_data(&graph.tape, graph.weights[at]) = x;
        }
        if (!tape_is_whole(&graph.tape, NULL)) failures++;
    }
    drop(&fresh);
    forget(&graph);
    return outcome;
}

// -----------------------------------------------------------------------------
// random functions

typedef struct Pool {
    Index at[MOST_NODES];
    size_t n;
} Pool;

static Index any(Graph *graph, const Pool *pool) {
    size_t newest = pool->n < 8 ? pool->n : 8;
    return below(graph, 3) ? pool->at[pool->n - 1 - (size_t)below(graph, newest)] : pool->at[below(graph, pool->n)];
}

static void any_of(Graph *graph, const Pool *pool, Index *some, size_t n) {
    size_t first = (size_t)below(graph, pool->n);
    int is_row = below(graph, 2);
    for (size_t k = 0; k < n; k++) some[k] = is_row ? pool->at[(first + k) % pool->n] : any(graph, pool);
}

static int put(Pool *pool, const Index *nodes, size_t n) {
    for (size_t k = 0; k < n; k++) {
        if (!nodes[k]) return 0;
        pool->at[pool->n++] = nodes[k];
    }
    return 1;
}

static int put_one(Pool *pool, Index i) {
    return put(pool, &i, 1);
}

static size_t any_integer(Graph *graph, size_t range) {
    for (size_t k = 0; k < graph->nintegers && below(graph, 2); k++) {
        if (graph->ranges[k] == range) return k;
    }
    return integer(graph, range);
}

static Index any_function(Graph *graph, Index a) {
    static const Op ops[] = {OP_TANH, OP_RELU, OP_SIGMOID, OP_SIN, OP_ABS, OP_TAKE};
    return unary(graph, ops[below(graph, 6)], a);
}

// rows of weights times a vector; the rows start with biases, one number, other nodes or nothing
static int any_linear(Graph *graph, const Pool *pool, const Index *x, size_t nin, size_t nout, Index *out) {
    Index w[MOST_ITEMS];
    int how = below(graph, 4), is_side_by_side = below(graph, 4);
    if (how == 3) {
        for (size_t k = 0; k < nin * nout; k++) w[k] = is_side_by_side ? weight(graph) : any(graph, pool);
        return linear(&graph->tape, x, NULL, nin, w, NULL, nout, out) == 0;
    }
    for (size_t r = 0; r < nout; r++) {
        for (size_t k = 0; k < nin; k++) w[k] = is_side_by_side || below(graph, 4) ? weight(graph) : any(graph, pool);
        Index start = how == 0 ? weight(graph) : how == 1 ? number(graph, 0.5) : below(graph, 2) ? any(graph, pool) : 0;
        out[r] = below(graph, 8) ? dot(graph, start, w, x, nin) : dot(graph, start, x, w, nin);
    }
    return 1;
}

static int do_something(Graph *graph, Pool *pool) {
    Index some[MOST_ITEMS], out[MOST], ex[MOST], sum;
    size_t n = (size_t)(1 + below(graph, 4)), m = (size_t)(1 + below(graph, 5));
    if (graph->nchoices > MOST - 4 || graph->nweights > MOST_LEAVES - 300 || graph->nintegers > MOST - 4) return 1;
    switch (below(graph, 16)) {
    case 0: return put_one(pool, any_function(graph, any(graph, pool)));
    case 1: return put_one(pool, add(graph, any(graph, pool), any(graph, pool)));
    case 2: return put_one(pool, mul(graph, any(graph, pool), any(graph, pool)));
    case 3:
        any_of(graph, pool, some, n);
        any_of(graph, pool, some + n, n);
        return put_one(pool, dot(graph, below(graph, 2) ? any(graph, pool) : 0, some, some + n, n));
    case 4:
    case 5:
        any_of(graph, pool, some, m);
        if (!any_linear(graph, pool, some, m, n, out)) return 0;
        for (size_t k = 0; k < n && below(graph, 2); k++) out[k] = any_function(graph, out[k]);
        return put(pool, out, n);
    case 6: {  // rows of a table of leaves, sometimes by two integers
        const Index *table = weights(graph, n * m);
        for (int times = 1 + below(graph, 2); times > 0; times--) {
            if (!put(pool, take(graph, any_integer(graph, n), table, m), m)) return 0;
        }
        return 1;
    }
    case 7: any_of(graph, pool, some, n * m); return put(pool, take(graph, any_integer(graph, n), some, m), m);
    case 8:
    case 9:
    case 10:  // a loss of logits, or of what is computed from them
        n++;
        any_of(graph, pool, some, m);
        if (!any_linear(graph, pool, some, m, n, out)) return 0;
        if (below(graph, 2) == 0) {
            for (size_t k = 0; k < n; k++) {
                if (below(graph, 2)) out[k] = any_function(graph, out[k]);
                if (below(graph, 4) == 0)
                    out[k] = mul(graph, out[k], below(graph, 2) ? number(graph, 0.5) : any(graph, pool));
                if (below(graph, 8) == 0)
                    out[k] = add(graph, out[k], below(graph, 2) ? number(graph, 0.5) : any(graph, pool));
            }
        }
        if (below(graph, 3) == 0) put(pool, out, n);
        if (below(graph, 3)) return put_one(pool, loss(graph, any_integer(graph, n), out, n));
        // or its parts in another order
        sum = below(graph, 2) ? number(graph, 0.25) : below(graph, 2) ? any(graph, pool) : 0;
        sum = tape_sum(&graph->tape, sum, 0.0, out, NULL, n);
        some[0] = *take(graph, any_integer(graph, n), out, 1);
        if (below(graph, 2)) some[0] = any_function(graph, some[0]);
        return put_one(pool, below(graph, 3) ? mul(graph, some[0], sum) : mul(graph, sum, some[0]));
    case 11: any_of(graph, pool, some, n); return softmax(&graph->tape, some, n, ex) == 0 && put(pool, ex, n);
    case 12: return put_one(pool, below(graph, 2) ? weight(graph) : number(graph, below(graph, 2) ? 0.3 : -0.7));
    case 13: return graph->ninputs == MOST || put_one(pool, input(graph));
    case 14: any_of(graph, pool, some, n); return put_one(pool, tape_sum(&graph->tape, 0, 0.0, some, NULL, n));
    case 15:
        if (below(graph, 2)) return put_one(pool, unary(graph, OP_EXP, unary(graph, OP_TANH, any(graph, pool))));
        if (below(graph, 4)) return put_one(pool, tape_pow(&graph->tape, any(graph, pool), 2.0, 1));
        return put_one(pool, logarithm(graph, any(graph, pool)));
    default: return 1;
    }
}

static int is_below(Graph *graph, Index root, Index i) {
    size_t n = tape_walk(&graph->tape, root, 1), k = 0;
    while (k < n && graph->tape.order[k] != i) k++;
    return k < n;
}

static int random_function(Graph *graph) {
    Pool pool;
    pool.n = 0;
    put(&pool, weights(graph, 6), 6);
    put_one(&pool, input(graph));
    put_one(&pool, input(graph));
    for (int k = 2 + below(graph, 14); k > 0; k--) {
        if (!do_something(graph, &pool)) return 0;
    }
    Index last = pool.at[pool.n - 1];
    if (graph->tape.nodes[last].op == OP_LEAF) last = unary(graph, OP_TANH, last);
    output(graph, last);
    for (size_t k = 0; k < graph->nlogarithms; k++) {  // a fresh graph computes them, so the recording must
        if (!is_below(graph, last, graph->logarithms[k])) output(graph, graph->logarithms[k]);
    }
    for (int k = below(graph, 3); k > 0; k--) {
        Index other = any(graph, &pool);
        if (graph->tape.nodes[other].op != OP_LEAF) output(graph, other);
    }
    return 1;
}

// -----------------------------------------------------------------------------
// functions that each meet, or do not meet, one condition of the compiler

// three logits with weights and inputs of their own
static const Index *logits(Graph *graph, Index *out) {
    const Index *w = weights(graph, 9), *x = weights(graph, 3), *b = weights(graph, 3);
    for (int r = 0; r < 3; r++) out[r] = dot(graph, b[r], w + 3 * r, x, 3);
    return w;
}

static Index sum_of(Graph *graph, const Index *x, size_t n) {
    return tape_sum(&graph->tape, 0, 0.0, x, NULL, n);
}

static int plain_loss(Graph *graph) {
    Index out[3];
    logits(graph, out);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

// a weight of one row is used between the take and the sum
static int used_between(Graph *graph) {
    Index out[3];
    const Index *w = logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, mul(graph, unary(graph, OP_TANH, w[4]), sum_of(graph, out, 3))));
    return 1;
}

// a weight of one row is in an input that comes later in the row
static int used_in_input(Graph *graph) {
    Index out[3], x[3];
    const Index *w = weights(graph, 9), *b = weights(graph, 3);
    for (int k = 0; k < 3; k++) x[k] = unary(graph, OP_TANH, weight(graph));
    x[2] = unary(graph, OP_TANH, w[0]);
    for (int r = 0; r < 3; r++) out[r] = dot(graph, b[r], w + 3 * r, x, 3);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

// the take has another user, or its user comes after the sum
static int take_used_twice(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, unary(graph, OP_TANH, chosen), mul(graph, chosen, sum_of(graph, out, 3))));
    return 1;
}

// or many users
static int take_used_often(Graph *graph) {
    Index x = unary(graph, OP_TANH, weight(graph)), items[] = {x, unary(graph, OP_SIN, x)}, product = x;
    Index chosen = *take(graph, integer(graph, 2), items, 1);
    for (int k = 0; k < 30; k++) product = mul(graph, chosen, product);
    output(graph, product);
    return 1;
}

static int take_below_function(Graph *graph) {
    Index out[3];
    logits(graph, out);
    out[2] = unary(graph, OP_TANH, out[2]);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, unary(graph, OP_SIGMOID, chosen), sum_of(graph, out, 3)));
    return 1;
}

static int take_in_dot(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, add(graph, weight(graph), mul(graph, chosen, sum_of(graph, out, 3))));
    return 1;
}

static int sum_comes_first(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, sum_of(graph, out, 3), chosen));
    return 1;
}

// forward computes one item at a later level than the others
static int late_item(Graph *graph) {
    Index out[3], later = weight(graph);
    logits(graph, out);
    for (int k = 0; k < 4; k++) later = unary(graph, OP_TANH, later);
    out[0] = add(graph, out[0], number(graph, 0.5));
    out[1] = add(graph, out[1], unary(graph, OP_SHIFT, later));
    out[2] = add(graph, out[2], number(graph, 0.25));
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, sum_of(graph, out, 3)));
    return 1;
}

// a dot adds to a leaf that a take may copy
static int dot_of_items(Graph *graph) {
    const Index *table = weights(graph, 6);
    const Index *row = take(graph, integer(graph, 3), table, 2);
    Index x[] = {table[1], table[1], row[0]}, w[] = {weight(graph), unary(graph, OP_TANH, row[1]), weight(graph)};
    output(graph, dot(graph, weight(graph), w, x, 3));
    return 1;
}

// items that the root uses only if they are chosen; one is computed from another
static int items_of_their_own(Graph *graph) {
    Index x = unary(graph, OP_EXP, input(graph)),
          items[] = {x, unary(graph, OP_SIN, x), unary(graph, OP_TANH, weight(graph))};
    output(graph, unary(graph, OP_TANH, *take(graph, integer(graph, 3), items, 1)));
    return 1;
}

// takes of one item each, one of them used twice and one the root
static int only_items(Graph *graph) {
    Index x = unary(graph, OP_TANH, weight(graph)), y = unary(graph, OP_SIN, x);
    Index one = *take(graph, integer(graph, 1), &x, 1), other = *take(graph, integer(graph, 1), &y, 1);
    Index sum = add(graph, mul(graph, one, other), unary(graph, OP_EXP, one));
    output(graph, *take(graph, 0, &sum, 1));
    return 1;
}

static int unused_take(Graph *graph) {
    const Index *table = weights(graph, 6);
    Index items[] = {unary(graph, OP_EXP, input(graph)), unary(graph, OP_TANH, table[0])};
    const Index *row = take(graph, integer(graph, 3), table, 2);
    take(graph, integer(graph, 2), items, 1);
    take(graph, integer(graph, 3), table, 2);
    output(graph, mul(graph, row[0], items[0]));
    return 1;
}

static int several_outputs(Graph *graph) {
    Index out[3];
    const Index *row = take(graph, integer(graph, 4), weights(graph, 12), 3);
    const Index *w = weights(graph, 9);
    for (int r = 0; r < 3; r++) out[r] = dot(graph, weight(graph), w + 3 * r, row, 3);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    for (int r = 0; r < 3; r++) output(graph, unary(graph, OP_TANH, out[r]));
    output(graph, out[1]);
    output(graph, row[0]);
    return 1;
}

// the first output is not above the choice
static int loss_comes_second(Graph *graph) {
    Index out[3];
    logits(graph, out);
    output(graph, unary(graph, OP_TANH, out[0]));
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

// an output that is inside a sum
static int output_inside(Graph *graph) {
    const Index *w = weights(graph, 4), *x = weights(graph, 4);
    Index half = dot(graph, weight(graph), w, x, 2);
    output(graph, unary(graph, OP_TANH, dot(graph, half, w + 2, x + 2, 2)));
    output(graph, half);
    return 1;
}

// weights and inputs overlap, or the start is one of them
static int dots_that_overlap(Graph *graph) {
    const Index *w = weights(graph, 6), *x = weights(graph, 6);
    Index out[] = {dot(graph, w[2], w, x, 4), dot(graph, x[1], w, x, 4), dot(graph, weight(graph), w, w, 4),
                   dot(graph, weight(graph), w, w + 1, 4), dot(graph, weight(graph), x + 2, x, 4)};
    for (int k = 0; k < 5; k++) out[k] = unary(graph, OP_TANH, out[k]);
    output(graph, sum_of(graph, out, 5));
    return 1;
}

// rows that share weights; and rows whose starts are weights of others
static int rows_that_overlap(Graph *graph) {
    const Index *w = weights(graph, 12), *x = weights(graph, 3), *v = weights(graph, 24);
    Index out[16];
    for (int r = 0; r < 8; r++) out[r] = unary(graph, OP_TANH, dot(graph, weight(graph), w + r, x, 3));
    for (int r = 0; r < 8; r++)
        out[8 + r] = unary(graph, OP_SIN, dot(graph, v[3 * ((r + 1) % 8) + r % 3], v + 3 * r, x, 3));
    output(graph, sum_of(graph, out, 16));
    return 1;
}

// each dot begins where the one before ends
static int chain_of_dots(Graph *graph) {
    const Index *w = weights(graph, 24), *x = weights(graph, 24);
    Index out[8], start = weight(graph);
    for (int k = 0; k < 8; k++) out[k] = start = dot(graph, start, w + 3 * k, x + 3 * k, 3);
    output(graph, sum_of(graph, out, 8));
    return 1;
}

// a leaf that is a factor of all items
static int factor_of_all(Graph *graph) {
    Index out[3], factor = weight(graph);
    logits(graph, out);
    for (int r = 0; r < 3; r++) out[r] = mul(graph, out[r], factor);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

static int items_of_two_rows(Graph *graph) {
    Index out[3], others[3];
    logits(graph, out);
    logits(graph, others);
    for (int r = 0; r < 3; r++) out[r] = mul(graph, out[r], others[r]);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

static int rows_used_again(Graph *graph) {
    Index out[3], others[3];
    logits(graph, out);
    for (int r = 0; r < 3; r++) others[r] = unary(graph, OP_TANH, out[r]);
    for (int r = 0; r < 3; r++) out[r] = unary(graph, OP_SIN, out[r]);
    output(graph, mul(graph, loss(graph, integer(graph, 3), out, 3), sum_of(graph, others, 3)));
    return 1;
}

static int item_used_again(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    Index sum = sum_of(graph, out, 3);
    output(graph, mul(graph, chosen, mul(graph, unary(graph, OP_TANH, out[1]), sum)));
    return 1;
}

// weights that are computed
static int inner_weights(Graph *graph) {
    const Index *x = weights(graph, 3);
    Index out[3], w[9];
    for (int k = 0; k < 9; k++) w[k] = unary(graph, OP_TANH, weight(graph));
    for (int k = 0; k < 9; k++) w[k] = unary(graph, OP_SIN, w[k]);
    for (int r = 0; r < 3; r++) out[r] = dot(graph, weight(graph), w + 3 * r, x, 3);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

static int inner_starts(Graph *graph) {
    const Index *w = weights(graph, 9), *x = weights(graph, 3);
    Index out[3], y = unary(graph, OP_EXP, weight(graph)), starts[3];
    for (int r = 0; r < 3; r++) starts[r] = unary(graph, OP_TANH, mul(graph, weight(graph), y));
    for (int r = 0; r < 3; r++) out[r] = dot(graph, starts[r], w + 3 * r, x, 3);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

// sums that are not of all items in order
static int other_sum(Graph *graph) {
    Index out[4], x[5];
    const Index *w = weights(graph, 12), *v = weights(graph, 3);
    int what = (int)(seed_now % 4);
    for (int r = 0; r < 4; r++) out[r] = dot(graph, weight(graph), w + 3 * r, v, 3);
    Index extra = unary(graph, OP_TANH, weight(graph));
    Index orders[4][5] = {
        {out[2], out[1], out[0]}, {out[0], out[2]}, {out[0], out[1], out[2], extra}, {out[0], out[1], out[1], out[2]}};
    static const size_t sizes[] = {3, 2, 4, 4};
    memcpy(x, orders[what], sizeof x);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, sum_of(graph, x, sizes[what])));
    return 1;
}

static int sum_of_products(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, dot(graph, weight(graph), weights(graph, 3), out, 3)));
    return 1;
}

static int two_items_added(Graph *graph) {
    Index out[3];
    logits(graph, out);
    Index chosen = *take(graph, integer(graph, 2), out, 1);
    output(graph, mul(graph, chosen, add(graph, out[0], out[1])));
    return 1;
}

// a leaf among the items
static int mixed_items(Graph *graph) {
    Index out[3];
    logits(graph, out);
    out[1] = weight(graph);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, sum_of(graph, out, 3)));
    return 1;
}

// rows of different inputs, which are not in one batch
static int rows_apart(Graph *graph) {
    const Index *w = weights(graph, 9), *x = weights(graph, 6);
    Index out[3];
    for (int r = 0; r < 3; r++) out[r] = dot(graph, weight(graph), w + 3 * r, r == 1 ? x + 3 : x, 3);
    output(graph, loss(graph, integer(graph, 3), out, 3));
    return 1;
}

// a bias that is used between the take and the sum
static int bias_used_between(Graph *graph) {
    const Index *w = weights(graph, 9), *x = weights(graph, 3);
    Index out[3], bias = weight(graph), others[] = {weight(graph), bias, weight(graph)};
    for (int r = 0; r < 3; r++) out[r] = dot(graph, others[r], w + 3 * r, x, 3);
    Index chosen = *take(graph, integer(graph, 3), out, 1);
    output(graph, mul(graph, chosen, mul(graph, unary(graph, OP_TANH, bias), sum_of(graph, out, 3))));
    return 1;
}

// A transformer of one layer and one head without its square roots: the rows of the table are also
// the weights of the logits, and tokens may be there more than once.
enum { TOKENS = 5, WIDTH = 4, CONTEXT = 3 };

static int gpt(Graph *graph) {
    const Index *table = weights(graph, TOKENS * WIDTH), *positions = weights(graph, CONTEXT * WIDTH);
    const Index *wq = weights(graph, WIDTH * WIDTH), *wk = weights(graph, WIDTH * WIDTH);
    const Index *wv = weights(graph, WIDTH * WIDTH), *wo = weights(graph, WIDTH * WIDTH);
    Index k[CONTEXT][WIDTH], v[CONTEXT][WIDTH], losses[CONTEXT];
    for (int t = 0; t < CONTEXT; t++) {
        Index x[WIDTH], q[WIDTH], scores[CONTEXT], p[CONTEXT], head[WIDTH], out[WIDTH], some[TOKENS];
        const Index *token = take(graph, integer(graph, TOKENS), table, WIDTH);
        for (int i = 0; i < WIDTH; i++) x[i] = add(graph, token[i], positions[t * WIDTH + i]);
        linear(&graph->tape, x, NULL, WIDTH, wq, NULL, WIDTH, q);
        linear(&graph->tape, x, NULL, WIDTH, wk, NULL, WIDTH, k[t]);
        linear(&graph->tape, x, NULL, WIDTH, wv, NULL, WIDTH, v[t]);
        for (int s = 0; s <= t; s++) scores[s] = tape_div_number(&graph->tape, dot(graph, 0, q, k[s], WIDTH), 2.0);
        if (softmax(&graph->tape, scores, (size_t)t + 1, p) < 0) return 0;
        for (int i = 0; i < WIDTH; i++) {
            Index column[CONTEXT];
            for (int s = 0; s <= t; s++) column[s] = v[s][i];
            head[i] = dot(graph, 0, p, column, (size_t)t + 1);
        }
        linear(&graph->tape, head, NULL, WIDTH, wo, NULL, WIDTH, out);
        for (int i = 0; i < WIDTH; i++) x[i] = add(graph, unary(graph, OP_RELU, out[i]), x[i]);
        linear(&graph->tape, x, NULL, WIDTH, table, NULL, TOKENS, some);
        losses[t] = loss(graph, integer(graph, TOKENS), some, TOKENS);
        if (!losses[t]) return 0;
    }
    output(graph, tape_div_number(&graph->tape, sum_of(graph, losses, CONTEXT), CONTEXT));
    return 1;
}

// One or two matrices times many vectors, and functions of the results. Vectors and rows are leaves or
// computed, overlap or not; dots start with a bias of their own, of the row or of all, or with a number
// of a vector or of a row.
enum { LONG = 140, MOST_ROWS = 9, MOST_VECTORS = 20 };

static void make_vectors(Graph *graph, Index x[][LONG], size_t times, size_t length) {
    int kind = below(graph, 5);
    const Index *leaves = weights(graph, length + 2 * times);
    for (size_t t = 0; t < times; t++) {
        Index factor = kind == 2 ? weight(graph) : kind == 3 ? input(graph) : 0;
        for (size_t k = 0; k < length; k++) {
            Index leaf = leaves[k + (kind == 1 ? t : kind == 4 ? 2 * t : 0)];
            x[t][k] = kind == 0          ? unary(graph, OP_TANH, leaf)
                : kind == 1 || kind == 4 ? leaf
                                         : mul(graph, leaf, factor);
        }
    }
}

static void make_rows(Graph *graph, Index w[][LONG], size_t n, size_t length) {
    int kind = below(graph, 6), stride = kind == 1 ? 1 : (int)length;
    const Index *leaves = weights(graph, kind == 1 ? n + length : n * length);
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < length; k++) {
            Index leaf = leaves[r * (size_t)stride + k];
            w[r][k] = kind == 2 ? unary(graph, OP_TANH, leaf) : leaf;
        }
    }
}

static Index activation(Graph *graph, int kind, Index x) {
    switch (kind) {
    case 0: return unary(graph, OP_RELU, x);
    case 1: return unary(graph, OP_TANH, x);
    case 2: return tape_pow(&graph->tape, unary(graph, OP_RELU, x), 2.0, 1);
    case 3: x = unary(graph, OP_EXP, x); return x ? tape_pow(&graph->tape, x, below(graph, 2) ? -1.0 : -0.5, 1) : 0;
    default: return x;
    }
}

// 0: an operation had no result
static int apply(Graph *graph, Index w[][LONG], Index x[][LONG], size_t n, size_t times, size_t length,
                 Index out[][LONG]) {
    int start = below(graph, 6), how = below(graph, 5), is_by_row = below(graph, 2), has_two = below(graph, 4) == 0;
    const Index *biases = weights(graph, MOST_ROWS);
    for (size_t k = 0; k < n * times; k++) {
        size_t r = is_by_row ? k / times : k % n, t = is_by_row ? k % times : k / n;
        Index from = start == 0 ? 0
            : start == 1        ? biases[r]
            : start == 2        ? biases[0]
            : start == 3        ? weight(graph)
            : start == 4        ? x[(t + 1) % times][0]
                                : w[(r + 1) % n][0];
        // some vectors see the rows in another order, as if it were another matrix
        out[t][r] = dot(graph, from, w[has_two && t % 2 ? n - 1 - r : r], x[t], length);
    }
    int all = 1;
    for (size_t k = 0; k < n * times; k++) {
        out[k / n][k % n] = activation(graph, how, out[k / n][k % n]);
        all &= out[k / n][k % n] != 0;
    }
    return all;
}

static int layers_of(Graph *graph, int has_targets) {
    static Index x[MOST_VECTORS][LONG], w[MOST_ROWS][LONG], y[MOST_VECTORS][LONG], z[MOST_VECTORS][LONG];
    static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, LONG};
    size_t length = lengths[below(graph, 8)], n = 1 + (size_t)below(graph, length == LONG ? 4 : MOST_ROWS);
    size_t times = 1 + (size_t)below(graph, length == LONG ? 3 : MOST_VECTORS), m = 1 + (size_t)below(graph, 5);
    Index parts[MOST_VECTORS + 1];
    make_vectors(graph, x, times, length);
    make_rows(graph, w, n, length);
    if (!apply(graph, w, x, n, times, length, y)) return 0;
    Index used = below(graph, 3) ? weight(graph) : below(graph, 2) ? w[0][0] : x[0][0];
    if (below(graph, 2)) {
        make_rows(graph, w, m, n);
        if (!apply(graph, w, y, m, times, n, z)) return 0;
        memcpy(y, z, sizeof y);
        n = m;
    }
    for (size_t t = 0; t < times; t++) {
        parts[t] = has_targets && n > 1 ? loss(graph, integer(graph, n), y[t], n) : sum_of(graph, y[t], n);
        if (!parts[t]) return 0;
    }
    parts[times] = used;
    output(graph, sum_of(graph, parts, times + (size_t)below(graph, 2)));
    if (below(graph, 4) == 0) output(graph, unary(graph, OP_TANH, y[0][0]));
    return 1;
}

static int layers(Graph *graph) {
    return layers_of(graph, 0);
}

static int layers_with_targets(Graph *graph) {
    return layers_of(graph, 1);
}

// log of an input fails for about half of the inputs, and the square root of 0 has no slope
static int failing_passes(Graph *graph) {
    const Index *table = weights(graph, 4);
    Index x = input(graph), zero = mul(graph, number(graph, 0.0), table[0]);
    Index chosen = *take(graph, integer(graph, 4), table, 1);
    output(graph, mul(graph, logarithm(graph, add(graph, x, number(graph, 0.5))), unary(graph, OP_TANH, chosen)));
    output(graph, unary(graph, OP_SQRT, zero));
    return graph->outputs[0] != 0;
}

static int failing_backward(Graph *graph) {
    Index x = input(graph), items[] = {mul(graph, number(graph, 0.0), x), unary(graph, OP_ABS, x)};
    Index chosen = *take(graph, integer(graph, 2), items, 1);
    output(graph, mul(graph, unary(graph, OP_SQRT, chosen), unary(graph, OP_TANH, weight(graph))));
    return 1;
}

typedef struct Case {
    const char *name;
    Function *function;
    int is_compiled;
} Case;

enum { REFUSED, COMPILED };

static const Case cases[] = {
    {"a plain loss", plain_loss, COMPILED},
    {"a GPT", gpt, COMPILED},
    {"several outputs", several_outputs, COMPILED},
    {"a loss that comes second", loss_comes_second, COMPILED},
    {"an output inside a sum", output_inside, COMPILED},
    {"a dot of items", dot_of_items, COMPILED},
    {"takes of one item", only_items, COMPILED},
    {"an unused take", unused_take, COMPILED},
    {"items of their own", items_of_their_own, REFUSED},
    {"passes that fail", failing_passes, COMPILED},
    {"backward that fails", failing_backward, REFUSED},
    {"a weight that is used between", used_between, REFUSED},
    {"a weight that is used in an input", used_in_input, REFUSED},
    {"a take that is used twice", take_used_twice, REFUSED},
    {"a take that is used often", take_used_often, REFUSED},
    {"a take below a function", take_below_function, REFUSED},
    {"a take in a dot", take_in_dot, REFUSED},
    {"a sum that comes first", sum_comes_first, REFUSED},
    {"dots that overlap", dots_that_overlap, COMPILED},
    {"rows that overlap", rows_that_overlap, COMPILED},
    {"a chain of dots", chain_of_dots, COMPILED},
    {"a factor of all items", factor_of_all, REFUSED},
    {"items of two rows", items_of_two_rows, REFUSED},
    {"rows that are used again", rows_used_again, REFUSED},
    {"an item that is used again", item_used_again, REFUSED},
    {"weights that are computed", inner_weights, REFUSED},
    {"starts that are computed", inner_starts, REFUSED},
    {"another sum", other_sum, REFUSED},
    {"a sum of products", sum_of_products, REFUSED},
    {"two items added", two_items_added, REFUSED},
    {"a leaf among the items", mixed_items, REFUSED},
    {"rows of different inputs", rows_apart, REFUSED},
    {"a bias that is used between", bias_used_between, REFUSED},
    {"a late item", late_item, COMPILED},
};

static void test_cases(void) {
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int built = 0;
        for (uint64_t seed = 1; seed <= 12; seed++) {
            Outcome outcome = replay(cases[k].name, cases[k].function, seed, 12);
            built += outcome.is_built;
            CHECK(!outcome.is_built || outcome.is_compiled == cases[k].is_compiled);
        }
        CHECK(built > 3);
    }
}

// -----------------------------------------------------------------------------
// one recording, by hand

static void start(Graph *graph, const char *name, Function *function, Numbers *numbers) {
    RNG rng;
    function_now = name;
    seed_now = 5;
    rng_init(&rng, 5);
    memset(numbers, 0, sizeof *numbers);
    draw(&rng, numbers->weights, MOST_LEAVES);
    draw(&rng, numbers->inputs, MOST);
    CHECK(build(graph, function, numbers));
}

static void test_index(void) {
    static Graph graph, fresh;
    static Numbers numbers;
    start(&graph, "an index out of range", plain_loss, &numbers);
    start(&fresh, "an index out of range", plain_loss, &numbers);
    make_recording(&graph);
    CHECK(step(&graph, &fresh, plain_loss, &numbers, BACKWARD));
    for (int k = 0; k < 4; k++) {
        int64_t wrong = k == 0 ? -1 : k == 1 ? 3 : k == 2 ? INT64_MAX : INT64_MIN;
        CHECK(recording_set(&graph.tape, &graph.recording, numbers.inputs, &wrong) == -1);
        const Fault *found = &graph.tape.fault;
        CHECK(found->code == FAULT_INDEX && found->operands == 2 && found->a == (double)wrong && found->b == 3);
        CHECK(has_results(&graph, &fresh) && has_all(&graph, &fresh));
    }
    numbers.integers[0] = 2;
    CHECK(step(&graph, &fresh, plain_loss, &numbers, BACKWARD | ALL_AFTER_BACKWARD));
    drop(&fresh);
    forget(&graph);
}

// recording_set and recording_undo without a pass between: all is as before, and backward, too
static void test_undo(void) {
    static const Case undone[] = {{"undo", gpt, COMPILED}, {"undo", items_of_their_own, REFUSED}};
    for (int k = 0; k < 2; k++) {
        static Graph graph, fresh;
        static Numbers numbers, others;
        start(&graph, undone[k].name, undone[k].function, &numbers);
        start(&fresh, undone[k].name, undone[k].function, &numbers);
        make_recording(&graph);
        for (int what = 0; what < 4; what++) {
            others = numbers;
            for (size_t i = 0; i < graph.nintegers; i++)
                others.integers[i] = (numbers.integers[i] + 1) % (int64_t)graph.ranges[i];
            others.inputs[0] = 0.25;
            CHECK(step(&graph, &fresh, undone[k].function, &numbers, what & 1 ? BACKWARD : 0));
            CHECK(recording_set(&graph.tape, &graph.recording, others.inputs, others.integers) == 0);
            recording_undo(&graph.tape, &graph.recording);
            CHECK(has_results(&graph, &fresh));
            if (what & 2) CHECK(has_all(&graph, &fresh));
            CHECK(tape_backward(&graph.tape, graph.outputs[0]) == 0
                  && tape_backward(&fresh.tape, fresh.outputs[0]) == 0);
            CHECK(has_results(&graph, &fresh) && has_all(&graph, &fresh));
            numbers.integers[0] = (numbers.integers[0] + 2) % (int64_t)graph.ranges[0];
        }
        drop(&fresh);
        forget(&graph);
    }
}

// Backward reads numbers that are set between forward and backward: of a parameter, an inner node, a
// leaf that nothing but the graph uses, and the root.
static void test_set_between(void) {
    for (int what = 0; what < 4; what++) {
        static Graph graph, fresh;
        static Numbers numbers;
        start(&graph, "numbers set between", gpt, &numbers);
        start(&fresh, "numbers set between", gpt, &numbers);
        make_recording(&graph);
        CHECK(is_compiled(&graph) && step(&graph, &fresh, gpt, &numbers, 0));
        Index operands[2], inner = graph.choices[1].items[0], root = graph.outputs[0];
        CHECK(tape_operands(&graph.tape, root, operands) == 2 && graph.tape.nodes[operands[1]].op == OP_LEAF);
        Index set = what == 0 ? graph.weights[0] : what == 1 ? inner : what == 2 ? operands[1] : root;
        *tape_data(&graph.tape, set) = fresh.tape.data[set] = 0.75;
        CHECK(tape_backward(&graph.tape, root) == 0 && tape_backward(&fresh.tape, root) == 0);
        CHECK(has_results(&graph, &fresh) && has_all(&graph, &fresh));
        drop(&fresh);
        if (what == 2) {  // forward reads it, too
            CHECK(recording_forward(&graph.tape, &graph.recording) == 0);
            double mean = *tape_data(&graph.tape, root);
            CHECK(mean == *tape_data(&graph.tape, operands[0]) * 0.75);
        }
        forget(&graph);
    }
}

// an inner node gets a backward function of its owner: then tape_backward fails
static void test_function(void) {
    static Graph graph, fresh;
    static Numbers numbers;
    start(&graph, "a function", gpt, &numbers);
    start(&fresh, "a function", gpt, &numbers);
    make_recording(&graph);
    CHECK(is_compiled(&graph) && step(&graph, &fresh, gpt, &numbers, BACKWARD));
    Index inner = graph.choices[1].items[1];
    tape_set_function(&graph.tape, inner, 1);
    CHECK(!is_compiled(&graph) && tape_is_whole(&graph.tape, NULL) && has_all(&graph, &fresh));
    CHECK(tape_backward(&graph.tape, graph.outputs[0]) == -1 && graph.tape.fault.code == FAULT_USER);
    CHECK(has_all(&graph, &fresh));
    tape_set_function(&graph.tape, inner, 0);
    for (int k = 0; k < 3; k++) {
        numbers.integers[k] = 2;
        CHECK(step(&graph, &fresh, gpt, &numbers, BACKWARD | ALL_AFTER_BACKWARD));
    }
    drop(&fresh);
    forget(&graph);
}

// A root above the output, which is in no recording: the order of its passes is found again when a
// choice has changed.
static void test_root_above(void) {
    for (int what = 0; what < 2; what++) {
        Function *function = what ? items_of_their_own : plain_loss;
        static Graph graph, fresh;
        static Numbers numbers;
        start(&graph, "a root above", function, &numbers);
        start(&fresh, "a root above", function, &numbers);
        make_recording(&graph);
        Tape *tape = &graph.tape;
        Index root = tape_unary(tape, OP_TANH, graph.outputs[0]);
        tape_hold(tape, root);
        for (int k = 0; k < 9; k++) {
            numbers.integers[0] = k % 3;
            CHECK(step(&graph, &fresh, function, &numbers, RESULTS | ALL));
            for (int times = k % 4; times > 0; times--) CHECK(tape_forward(tape, root) == 0);
            if (k % 4 == 0) *tape_data(tape, root) = tanh(*tape_data(tape, graph.outputs[0]));
            Index other = tape_unary(&fresh.tape, OP_TANH, fresh.outputs[0]);
            CHECK(tape_backward(tape, root) == 0 && tape_backward(&fresh.tape, other) == 0);
            CHECK(has_results(&graph, &fresh) && has_all(&graph, &fresh) && tape_is_whole(tape, NULL));
        }
        drop(&fresh);
        tape_release(tape, root);
        forget(&graph);
    }
}

// -----------------------------------------------------------------------------
// several recordings, and when they are freed

// the output of one is an input, an item or an operand of the other
static void test_overlap(void) {
    for (int order = 0; order < 4; order++) {
        function_now = "recordings that overlap";
        seed_now = (uint64_t)order;
        Tape tape;
        tape_init(&tape);
        Index table[3], x = tape_leaf(&tape, 0.5), y = tape_leaf(&tape, 0.25);
        for (int k = 0; k < 3; k++) {
            table[k] = tape_leaf(&tape, k - 0.5);
            tape_hold(&tape, table[k]);
        }
        Index one = tape_unary(&tape, OP_TAKE, table[0]), a = tape_binary(&tape, OP_MUL, one, x);
        Index squared = tape_unary(&tape, OP_TANH, a), b = tape_binary(&tape, OP_MUL, squared, y);
        Index outputs[] = {a, b};
        for (int k = 0; k < 2; k++) tape_hold(&tape, outputs[k]);
        Recording first, second;
        CHECK(recording_start(&tape, &first, &a, 1, &x, 1) == 0
              && recording_choice(&tape, &first, 0, &one, 1, table, 3) == 0);
        CHECK(recording_end(&tape, &first) == 0 && tape_replay(&tape, a));
        CHECK(recording_start(&tape, &second, (Index[]){b, squared}, 2, &y, 1) == 0
              && recording_end(&tape, &second) == 0);
        CHECK(!tape_replay(&tape, b));  // a choice of the first one would not change it
        for (int k = 0; k < 6; k++) {
            double xs = 0.5 + k, ys = 0.25 - k, t = tape.data[table[k % 3]] * xs;
            CHECK(recording_set(&tape, &first, &xs, &(int64_t){k % 3}) == 0 && recording_forward(&tape, &first) == 0);
            CHECK(recording_set(&tape, &second, &ys, NULL) == 0 && recording_forward(&tape, &second) == 0);
            CHECK(*tape_data(&tape, a) == t && *tape_data(&tape, b) == tanh(t) * ys);
            for (int i = 0; i < 3; i++) *tape_grad(&tape, table[i]) = 0.0;
            CHECK(tape_backward(&tape, b) == 0);
            for (int i = 0; i < 3; i++) CHECK((*tape_grad(&tape, table[i]) != 0) == (i == k % 3));
            CHECK(tape_is_whole(&tape, NULL));
        }
        if (order & 1) tape_release(&tape, a);
        recording_free(&tape, order & 2 ? &first : &second);
        CHECK(tape_is_whole(&tape, NULL) && tape.nodes[b].op == OP_MUL);
        if (!(order & 1)) tape_release(&tape, a);
        tape_release(&tape, b);
        recording_free(&tape, order & 2 ? &second : &first);
        CHECK(tape_is_whole(&tape, NULL) && tape.live == 3 && tape.scheduled == 0 && !tape.held);
        tape_free(&tape);
    }
}

// the same inner nodes in two recordings: only one of the recordings may be compiled
static void test_shared_nodes(void) {
    for (int what = 0; what < 5; what++) {
        function_now = "nodes that are shared";
        seed_now = (uint64_t)what;
        Tape tape;
        tape_init(&tape);
        Index x = tape_leaf(&tape, 0.5), y = tape_leaf(&tape, 0.25), w[] = {x, y, x, y};
        Index inner = tape_unary(&tape, OP_TANH, x), taken = tape_unary(&tape, OP_TAKE, x);
        if (what == 1) inner = tape_dot(&tape, y, 0.0, w, NULL, w + 1, NULL, 3);
        if (what == 2) inner = tape_user(&tape, 2.0, &x, NULL, 1);
        if (what == 4) inner = taken;
        Index above = tape_unary(&tape, OP_EXP, inner), a = tape_unary(&tape, OP_SIN, above);
        Index b = tape_binary(&tape, OP_MUL, above, y);
        tape_hold(&tape, a);
        tape_hold(&tape, b);
        Recording first, second;
        CHECK(recording_start(&tape, &first, &a, 1, NULL, 0) == 0
              && recording_start(&tape, &second, &b, 1, NULL, 0) == 0);
        if (what == 4) CHECK(recording_choice(&tape, &first, 0, &taken, 1, (Index[]){x, y}, 2) == 0);
        if (what == 1) tape_set_function(&tape, tape.nodes[inner].b, 1);  // a node inside the dot
        if (what == 3) tape_set_function(&tape, inner, 1);
        CHECK(recording_end(&tape, &first) == 0);
        CHECK((tape_replay(&tape, a) != NULL) == (what == 0 || what == 4));
        if (what == 4) {  // not even if the first one is not compiled any more
            tape_set_function(&tape, above, 1);
            tape_set_function(&tape, above, 0);
            CHECK(!tape_replay(&tape, a));
        }
        CHECK(recording_end(&tape, &second) == 0 && !tape_replay(&tape, b));
        CHECK(recording_forward(&tape, &first) == (what == 2 ? -1 : 0));
        CHECK(what != 2 || tape.fault.code == FAULT_USER);
        CHECK(tape_backward(&tape, b) == (what == 1 || what == 3 ? -1 : 0));
        CHECK(tape_is_whole(&tape, NULL));
        recording_free(&tape, &first);
        recording_free(&tape, &second);
        tape_free(&tape);
    }
}

// An output that is inside another recording keeps NODE_REPLAYED when its own recording is freed, and
// the gradient that backward has given it.
static void test_output_inside_another(void) {
    function_now = "an output inside another";
    Tape tape;
    tape_init(&tape);
    Index x = tape_leaf(&tape, 0.5);
    tape_hold(&tape, x);
    Index inner = tape_unary(&tape, OP_TANH, x), above = tape_unary(&tape, OP_EXP, inner),
          root = tape_unary(&tape, OP_SIN, above);
    Index twice = tape_binary(&tape, OP_MUL, inner, inner);
    tape_hold(&tape, root);
    Recording one, other;
    CHECK(recording_start(&tape, &one, (Index[]){twice, inner}, 2, NULL, 0) == 0 && recording_end(&tape, &one) == 0);
    CHECK(recording_start(&tape, &other, &root, 1, NULL, 0) == 0 && recording_end(&tape, &other) == 0);
    CHECK(tape_replay(&tape, twice) && tape_replay(&tape, root));
    CHECK(recording_forward(&tape, &one) == 0 && recording_forward(&tape, &other) == 0);
    CHECK(tape_backward(&tape, twice) == 0 && *tape_grad(&tape, inner) == 2 * tanh(0.5));
    CHECK(tape_is_whole(&tape, NULL));
    *tape_data(&tape, x) = -1.0;
    recording_free(&tape, &one);
    CHECK(tape_is_whole(&tape, NULL) && recording_forward(&tape, &other) == 0);
    CHECK(*tape_data(&tape, inner) == tanh(-1.0));
    recording_free(&tape, &other);
    tape_release(&tape, root);
    CHECK(tape.live == 1 && tape_is_whole(&tape, NULL));
    tape_free(&tape);
}

// What was compiled is freed with the recording, for its nodes may be freed and used again. In the
// end y is held, or a node inside, or nothing.
static void test_freed_recording(void) {
    for (int order = 0; order < 4; order++) {
        function_now = "a freed recording";
        Tape tape;
        tape_init(&tape);
        Index x = tape_leaf(&tape, 0.5), table[] = {tape_leaf(&tape, 2.0), tape_leaf(&tape, 3.0)};
        Index taken = tape_unary(&tape, OP_TAKE, table[0]), y = tape_binary(&tape, OP_MUL, taken, x);
        Index other = tape_unary(&tape, OP_EXP, x);
        tape_hold(&tape, y);
        Recording recording;
        CHECK(recording_start(&tape, &recording, (Index[]){y, other}, 2, &x, 1) == 0);
        CHECK(recording_choice(&tape, &recording, 0, &taken, 1, table, 2) == 0
              && recording_end(&tape, &recording) == 0);
        CHECK(tape_replay(&tape, y) && tape_is_whole(&tape, NULL));
        CHECK(recording_set(&tape, &recording, &(double){4.0}, &(int64_t){1}) == 0
              && recording_forward(&tape, &recording) == 0);
        if (order == 1) CHECK(tape_backward(&tape, y) == 0);
        if (order == 3) tape_hold(&tape, taken);
        if (order >= 2) tape_release(&tape, y);
        recording_free(&tape, &recording);
        CHECK(tape_is_whole(&tape, NULL) && tape.scheduled == 0 && !tape.held && !tape.trim_later);
        CHECK(tape.live == (order == 2 ? 0 : order == 3 ? 2 : 4));
        if (order != 2) CHECK(tape.data[taken] == 3.0 && tape.grad[taken] == (order == 1 ? 4.0 : 0.0));
        if (order == 3) CHECK(tape.nodes[taken].flags == NODE_CHOICE);  // NODE_REPLAYED is gone
        Index fresh[8];
        for (int k = 0; k < 8; k++) fresh[k] = tape_leaf(&tape, 7.0);
        if (order < 2) {
            CHECK(*tape_data(&tape, y) == 12.0 && tape_backward(&tape, y) == 0);
            CHECK(tape_forward(&tape, y) == 0 && tape_forward(&tape, y) == 0 && tape_backward(&tape, y) == 0);
            tape_settle(&tape);
        }
        for (int k = 0; k < 8; k++) CHECK(tape.data[fresh[k]] == 7.0 && tape.grad[fresh[k]] == 0.0);
        CHECK(tape_is_whole(&tape, NULL));
        tape_free(&tape);
    }
}

// two recordings with the same first output, of which one has no choice; and one without outputs
static void test_same_output(void) {
    function_now = "the same output";
    Tape tape;
    tape_init(&tape);
    Index x = tape_leaf(&tape, 0.5), y = tape_unary(&tape, OP_EXP, x), table[4], takes[4];
    tape_hold(&tape, x);
    for (int k = 0; k < 4; k++) table[k] = tape_leaf(&tape, k);
    for (int k = 0; k < 4; k++) takes[k] = tape_unary(&tape, OP_TAKE, table[0]);
    Recording one, other, none;
    CHECK(recording_start(&tape, &one, &y, 1, NULL, 0) == 0 && recording_end(&tape, &one) == 0
          && tape_replay(&tape, y));
    CHECK(recording_start(&tape, &other, &y, 1, NULL, 0) == 0);
    CHECK(recording_start(&tape, &none, NULL, 0, NULL, 0) == 0);
    for (int k = 0; k < 4; k++) {
        CHECK(recording_choice(&tape, k < 3 ? &other : &none, 0, &takes[k], 1, table, 4) == 0);
    }
    CHECK(recording_end(&tape, &other) == 0 && recording_end(&tape, &none) == 0);
    for (int64_t k = 0; k < 4; k++) {
        CHECK(recording_set(&tape, &other, NULL, &k) == 0 && recording_forward(&tape, &other) == 0);
        CHECK(recording_set(&tape, &none, NULL, &k) == 0 && tape.nodes[takes[3]].a == table[k]);
        CHECK(recording_forward(&tape, &one) == 0 && tape_backward(&tape, y) == 0 && tape_is_whole(&tape, NULL));
        CHECK(tape.nodes[takes[2]].a == table[k]);
    }
    recording_free(&tape, &other);
    CHECK(tape_replay(&tape, y));
    recording_free(&tape, &none);
    recording_free(&tape, &one);
    CHECK(tape.live == 1 && tape.scheduled == 0 && tape_is_whole(&tape, NULL));
    tape_free(&tape);
}

static void test_layers(uint64_t n) {
    int built = 0, compiled[2] = {0, 0};
    for (uint64_t seed = 1; seed <= n; seed++) {
        for (int has_targets = 0; has_targets < 2; has_targets++) {
            Outcome outcome = replay("layers", has_targets ? layers_with_targets : layers, seed, 6);
            built += outcome.is_built;
            compiled[has_targets] += outcome.is_compiled;
        }
    }
    printf("%d of %lu, %d and %d compiled\n", built, 2 * (unsigned long)n, compiled[0], compiled[1]);
    CHECK(built > (int)n && compiled[0] > (int)n / 2 && compiled[1] > (int)n / 20);
}

static void test_random_functions(uint64_t n, uint64_t first) {
    int compiled = 0, failed = 0, built = 0;
    for (uint64_t seed = first; seed < first + n; seed++) {
        Outcome outcome = replay("a random function", random_function, seed, 8);
        built += outcome.is_built;
        compiled += outcome.is_compiled;
        failed += outcome.failed;
    }
    CHECK(built > (int)n / 2 && compiled > (int)n / 8 && failed > 0);
}

int main(int argc, char **argv) {
    test_cases();
    test_index();
    test_undo();
    test_set_between();
    test_function();
    test_root_above();
    test_overlap();
    test_shared_nodes();
    test_output_inside_another();
    test_freed_recording();
    test_same_output();
    test_layers(300);
    test_random_functions(argc > 1 ? (uint64_t)atoi(argv[1]) : 3000, argc > 2 ? (uint64_t)atoi(argv[2]) : 1);
    return check_report();
}

// Tests of the C library by itself: `make -C csrc test`, and `make -C csrc asan`.
// A check that fails says where, and the program ends with the number of failures.

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "ops.h"
#include "vector.h"
#include "invariants.h"
#include "checks.h"

static Index held(Tape *tape, Index i) {
    CHECK(i != 0);
    tape_hold(tape, i);
    return i;
}

static Index leaf(Tape *tape, double data) {
    return held(tape, tape_leaf(tape, data));
}

static double data(const Tape *tape, Index i) {
    return tape->data[i];
}

static double grad(const Tape *tape, Index i) {
    return tape->grad[i];
}

// -----------------------------------------------------------------------------
// generator and data sets, on the numbers that every port has to give

static void test_rng(void) {
    static const struct {
        uint64_t seed;
        uint32_t u32[3];
    } expected[] = {
        {42, {1456360119u, 3359763283u, 3393612768u}},
        {1337, {989205090u, 818269915u, 1335155955u}},
        {UINT64_MAX, {4180462053u, 2415166680u, 879531507u}},
    };
    for (size_t i = 0; i < 3; i++) {
        RNG rng;
        rng_init(&rng, expected[i].seed);
        for (size_t k = 0; k < 3; k++) CHECK(rng_random_u32(&rng) == expected[i].u32[k]);
    }
    RNG rng;
    rng_init(&rng, 42);
    CHECK(rng_random(&rng) == 0.3390852212905884);
    CHECK(rng_random(&rng) == 0.7822558283805847);
}

static void test_data(void) {
    Point points[100];
    RNG rng;
    rng_init(&rng, 42);
    gen_data(&rng, points, 100);
    CHECK(rng.state == 71058172779015269u);
    CHECK(points[0].x[0] == -0.6436591148376465 && points[0].x[1] == 1.1290233135223389);
    CHECK(points[99].x[0] == -0.9766521453857422 && points[99].label == 0);

    rng_init(&rng, 42);
    gen_data_yinyang(&rng, points, 100, 0.1, 0.5);
    CHECK(rng.state == 40890607258806830u);
    CHECK(points[1].x[0] == 1.502126693725586 && points[1].label == 1);
    CHECK(points[99].x[1] == 1.640775442123413 && points[99].label == 0);

    rng_init(&rng, 42);
    gen_data_circles(&rng, points, 100);
    CHECK(rng.state == 71058172779015269u);
    for (int i = 0; i < 100; i++) {
        double r2 = points[i].x[0] * points[i].x[0] + points[i].x[1] * points[i].x[1];
        CHECK(points[i].label == (r2 < 1 ? 0 : r2 < 2 ? 1 : 2));
    }
}

// -----------------------------------------------------------------------------
// the tape

static void test_backward(void) {
    Tape tape;
    tape_init(&tape);
    // d = a * b + a**2;  e = d.tanh() + d
    Index a = leaf(&tape, 0.5), b = leaf(&tape, -3.0);
    Index d = held(&tape, tape_binary(&tape, OP_ADD, tape_binary(&tape, OP_MUL, a, b), tape_pow(&tape, a, 2.0, 1)));
    Index e = held(&tape, tape_binary(&tape, OP_ADD, tape_unary(&tape, OP_TANH, d), d));
    CHECK(data(&tape, d) == -1.25);
    CHECK(data(&tape, e) == tanh(-1.25) - 1.25);
    CHECK(tape_backward(&tape, e) == 0);
    double slope = (1 - pow(tanh(-1.25), 2.0)) + 1;
    CHECK(grad(&tape, e) == 1 && grad(&tape, d) == slope);
    CHECK(grad(&tape, b) == 0.5 * slope);
    CHECK(fabs(grad(&tape, a) - (-3.0 + 2 * 0.5) * slope) < 1e-15);

    tape.data[a] = 2.0;  // and again with other numbers
    CHECK(tape_forward(&tape, e) == 0);
    CHECK(data(&tape, d) == -2.0 && grad(&tape, d) == 0 && grad(&tape, b) == 0.5 * slope);

    tape_release(&tape, e);
    tape_release(&tape, d);
    CHECK(tape.live == 2);
    tape_release(&tape, a);
    tape_release(&tape, b);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

// what cannot be computed changes nothing and leaves nothing behind
static void test_faults(void) {
    Tape tape;
    tape_init(&tape);
    Index zero = leaf(&tape, 0.0), big = leaf(&tape, 1000.0), negative = leaf(&tape, -8.0);
    CHECK(!tape_unary(&tape, OP_LOG, zero));
    CHECK(tape.fault.code == FAULT_FORWARD && tape.fault.op == OP_LOG && tape.fault.a == 0);
    CHECK(!tape_unary(&tape, OP_EXP, big) && tape.fault.op == OP_EXP && tape.fault.a == 1000);
    CHECK(!tape_pow(&tape, zero, -1.0, 1) && tape.fault.b == -1);
    CHECK(!tape_pow(&tape, negative, 0.5, 0));
    CHECK(!tape_unary(&tape, OP_SQRT, negative));
    CHECK(!tape_div(&tape, big, zero));
    CHECK(tape.fault.code == FAULT_DIVISION && tape.fault.a == 1000 && tape.fault.b == 0);
    CHECK(!tape_div_number(&tape, negative, 0.0) && tape.fault.code == FAULT_DIVISION && tape.fault.a == -8);
    CHECK(!tape_number_div(&tape, 2.0, zero) && tape.fault.code == FAULT_DIVISION && tape.fault.a == 2);
    CHECK(!tape_number_div(&tape, 2.0, tape_unary(&tape, OP_LOG, zero)) && tape.fault.code == FAULT_FORWARD);
    // the operands made on the way are gone, and so is what they were operands of
    CHECK(!tape_unary(&tape, OP_LOG, tape_binary(&tape, OP_MUL, big, tape_neg(&tape, zero))));
    CHECK(tape.live == 3);

    // sqrt has no slope at 0: all gradients stay as they were
    Index root = held(&tape, tape_binary(&tape, OP_MUL, tape_unary(&tape, OP_SQRT, zero), big));
    tape.grad[big] = 7.0;
    CHECK(tape_backward(&tape, root) == -1);
    CHECK(tape.fault.code == FAULT_BACKWARD && tape.fault.op == OP_SQRT && tape.fault.out == 0);
    CHECK(grad(&tape, big) == 7.0 && grad(&tape, root) == 0 && grad(&tape, zero) == 0);
    // nor has it a value below: all data stay as they were
    tape.data[zero] = -1.0;
    CHECK(tape_forward(&tape, root) == -1);
    CHECK(tape.fault.code == FAULT_FORWARD && tape.fault.a == -1);
    CHECK(data(&tape, root) == 0 && grad(&tape, big) == 7.0);
    tape.data[zero] = 4.0;  // and the tape works as before
    CHECK(tape_forward(&tape, root) == 0 && data(&tape, root) == 2000);
    CHECK(tape_backward(&tape, root) == 0 && grad(&tape, big) == 9);

    tape_release(&tape, root);
    tape_release(&tape, zero);
    tape_release(&tape, big);
    tape_release(&tape, negative);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

static void test_order(void) {
    Tape tape;
    tape_init(&tape);
    // operands before their users, left before right, each once; a diamond and a square
    Index a = leaf(&tape, 1.0), b = leaf(&tape, 2.0);
    Index c = held(&tape, tape_binary(&tape, OP_MUL, b, a));
    Index d = held(&tape, tape_binary(&tape, OP_ADD, c, c));
    Index e = held(&tape, tape_binary(&tape, OP_MUL, a, d));
    CHECK(tape_walk(&tape, e, 0) == 5);
    Index expected[] = {a, b, c, d, e};
    CHECK(memcmp(tape.order, expected, sizeof expected) == 0);
    CHECK(tape_walk(&tape, c, 0) == 3 && tape.order[0] == b);
    Index all[] = {a, b, c, d, e};
    for (size_t i = 0; i < 5; i++) tape_release(&tape, all[i]);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

static void test_user_nodes(void) {
    Tape tape;
    tape_init(&tape);
    Index x[5], operands[5];
    for (size_t i = 0; i < 5; i++) x[i] = leaf(&tape, (double)i);
    Index user = held(&tape, tape_user(&tape, 10.0, x, NULL, 5));
    CHECK(tape_operands(&tape, user, NULL) == 5);
    CHECK(tape_operands(&tape, user, operands) == 5 && memcmp(operands, x, sizeof x) == 0);
    // its rule is a function of the user's
    Index out = held(&tape, tape_binary(&tape, OP_MUL, user, x[2]));
    CHECK(tape_forward(&tape, out) == -1 && tape.fault.code == FAULT_USER);
    tape.nodes[user].flags |= NODE_FUNCTION;
    CHECK(tape_backward(&tape, out) == -1 && tape.fault.code == FAULT_USER);
    size_t n = tape_walk(&tape, out, 0);
    Index *order = malloc(n * sizeof(Index));
    memcpy(order, tape.order, n * sizeof(Index));
    tape.grad[out] = 1.0;
    ptrdiff_t position = tape_backward_until(&tape, order, (ptrdiff_t)n);
    CHECK(position >= 0 && order[position] == user && grad(&tape, user) == 2.0);
    CHECK(tape_backward_until(&tape, order, position) == -1);
    position = tape_forward_until(&tape, order, 0, (ptrdiff_t)n);
    CHECK(order[position] == user);
    CHECK(tape_forward_until(&tape, order, position + 1, (ptrdiff_t)n) == (ptrdiff_t)n);
    free(order);
    tape_release(&tape, user);
    tape_release(&tape, out);
    for (size_t i = 0; i < 5; i++) tape_release(&tape, x[i]);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

// out = Value(10.0, (a, b, a, a), slopes)
static void test_linear(void) {
    static const double slopes[] = {1.0, 0.5, 1e16, -1e16};
    Tape tape;
    tape_init(&tape);
    Index a = leaf(&tape, 2.0), b = leaf(&tape, 0.0), x[] = {a, b, a, a}, operands[4];
    Index linear = held(&tape, tape_user(&tape, 10.0, x, slopes, 4));
    CHECK(tape.nodes[linear].op == OP_LINEAR && data(&tape, linear) == 10 && tape.live == 2 + 5);
    CHECK(tape_operands(&tape, linear, operands) == 4 && memcmp(operands, x, sizeof x) == 0);
    // from left to right the gradient of a is (1 + 1e16) - 1e16 = 0, the other way it would be 1
    CHECK(tape_backward(&tape, linear) == 0 && grad(&tape, linear) == 1);
    CHECK(grad(&tape, a) == 0 && grad(&tape, b) == 0.5);
    CHECK(node_backward(&tape, linear) == 0 && grad(&tape, b) == 1.0);
    // inside of a graph: its gradient is 2*4 when its turn comes
    Index twice = held(&tape, tape_binary(&tape, OP_MUL, linear, tape_leaf(&tape, 4.0)));
    Index out = held(&tape, tape_binary(&tape, OP_ADD, twice, twice));
    CHECK(tape_backward(&tape, out) == 0 && grad(&tape, linear) == 9 && grad(&tape, b) == 1 + 9 * 0.5);
    tape.grad[linear] = 0.0;

    // forward stops at it, because only the user can recompute it
    CHECK(tape_forward(&tape, out) == -1 && tape.fault.code == FAULT_USER && grad(&tape, out) == 1);
    size_t n = tape_walk(&tape, out, 1);
    CHECK(n == 10);  // a, b, four of a list, linear, 4, twice, out
    Index order[10];
    memcpy(order, tape.order, sizeof order);
    tape.data[linear] = 3.0;
    CHECK(tape_forward_until(&tape, order, 0, 10) == 6 && order[6] == linear);
    CHECK(tape_forward_until(&tape, order, 7, 10) == 10 && data(&tape, out) == 24);
    // backward in pieces does not stop at it
    tape.grad[b] = tape.grad[twice] = 0.0;
    CHECK(tape_backward_until(&tape, order, 10) == -1 && grad(&tape, b) == 4);

    // a function is called in place of the slopes
    tape_set_function(&tape, linear, 1);
    CHECK(tape_backward(&tape, out) == -1 && tape.fault.code == FAULT_USER);
    CHECK(tape_backward_until(&tape, order, 10) == 6 && grad(&tape, b) == 4);
    tape_set_function(&tape, linear, 0);
    CHECK(tape_backward(&tape, linear) == 0 && grad(&tape, b) == 4.5);

    // a pass that fails below it takes back what the slopes have added
    Index root = tape_unary(&tape, OP_SQRT, b);
    double before = grad(&tape, a);
    Index above = held(&tape, tape_user(&tape, 0.0, (Index[]){root, a}, slopes, 2));
    CHECK(tape_backward(&tape, above) == -1 && tape.fault.op == OP_SQRT);
    CHECK(grad(&tape, a) == before && grad(&tape, root) == 0 && grad(&tape, above) == 0);

    // without operands, too
    Index none = held(&tape, tape_user(&tape, 1.0, NULL, slopes, 0));
    CHECK(tape.nodes[none].op == OP_LINEAR && tape_backward(&tape, none) == 0 && grad(&tape, none) == 1);
    CHECK(tape_forward(&tape, none) == -1 && tape.fault.code == FAULT_USER);
    CHECK(tape.scheduled == 0 && tape_is_whole(&tape, NULL));
    Index all[] = {a, b, linear, twice, out, above, none};
    for (size_t i = 0; i < 7; i++) tape_release(&tape, all[i]);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// watched nodes

static Index watched(Tape *tape, Index i) {
    held(tape, i);
    CHECK(tape_watch(tape, i) == 0);
    return i;
}

// a is used for a moment
static void use(Tape *tape, Index a) {
    tape_release(tape, held(tape, tape_neg(tape, a)));
}

static void test_watch(void) {
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 0.0), y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    CHECK(tape.watched == 1 && tape.nodes[y].refs == 0 && tape.nodes[y].flags & NODE_WATCHED);
    // its owner's hold keeps it, even if an operation on it fails
    tape_discard(&tape, y);
    CHECK(!tape_binary(&tape, OP_ADD, y, 0));
    CHECK(tape.live == 2 && tape.nunused == 0 && tape.nodes[y].refs == 0);
    CHECK(!tape_unary(&tape, OP_EXP, tape_binary(&tape, OP_MUL, y, tape_leaf(&tape, 1000.0))));
    CHECK(tape.live == 2 && tape.nodes[y].op == OP_EXP);
    CHECK(tape_unused(&tape) == y);  // the product, which used it, was made and is gone
    CHECK(tape.live == 2 && tape.watched == 1 && tape_unused(&tape) == 0);

    // it is handed out when it has lost its last user, and not before; whole, and only once
    Index one = held(&tape, tape_neg(&tape, y)), two = held(&tape, tape_neg(&tape, y));
    CHECK(tape.nodes[y].refs == 2);
    tape_release(&tape, one);
    CHECK(tape_unused(&tape) == 0);
    tape_release(&tape, two);
    CHECK(tape.nunused == 1 && tape.live == 2 && tape_is_whole(&tape, NULL));
    CHECK(tape_unused(&tape) == y && tape.nodes[y].refs == 0);
    CHECK(is_living(&tape, y) && tape.nodes[y].a == x && data(&tape, y) == 1);
    CHECK(tape_unused(&tape) == 0);
    // the owner may go on using it
    use(&tape, y);
    CHECK(tape_unused(&tape) == y && tape_unused(&tape) == 0);
    CHECK(tape_backward(&tape, y) == 0 && grad(&tape, x) == 1);

    // used again while it is on the list it is not handed out, but when it has lost that user, too
    use(&tape, y);
    one = held(&tape, tape_neg(&tape, y));
    CHECK(tape.nunused == 1 && tape.nodes[y].refs == 2 && tape_unused(&tape) == 0 && tape.nodes[y].refs == 1);
    tape_release(&tape, one);
    CHECK(tape_unused(&tape) == y && tape_unused(&tape) == 0);
    // and if it has lost it before tape_unused is called: once
    use(&tape, y);
    use(&tape, y);
    CHECK(tape.nunused == 1 && tape_unused(&tape) == y && tape_unused(&tape) == 0);

    // a second holder counts as a user
    tape_hold(&tape, y);
    use(&tape, y);
    CHECK(tape_unused(&tape) == 0);
    tape_release(&tape, y);
    CHECK(tape.live == 2 && tape_unused(&tape) == y);

    // let go of, an unused node is freed
    tape_unwatch(&tape, y);
    CHECK(tape.watched == 0 && tape.live == 1 && tape.nodes[y].op == OP_FREE && tape.nodes[x].refs == 1);
    tape_release(&tape, x);
    CHECK(tape.live == 0 && tape.nunused == 0);
    tape_free(&tape);
}

// a node that is unwatched while others use it is freed as any other node
static void test_unwatch(void) {
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 0.0), y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    Index user = held(&tape, tape_neg(&tape, y));
    tape_unwatch(&tape, y);
    CHECK(tape.watched == 0 && tape.live == 4 && tape.nodes[y].refs == 1);
    tape_release(&tape, user);
    CHECK(tape.live == 1 && tape.nunused == 0);
    // by a second holder
    y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    tape_hold(&tape, y);
    tape_unwatch(&tape, y);
    CHECK(tape.live == 2);
    tape_release(&tape, y);
    CHECK(tape.live == 1 && tape.nunused == 0);

    // on the list: it lives until the list has been gone through
    y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    use(&tape, y);
    tape_unwatch(&tape, y);
    CHECK(tape.live == 2 && tape.watched == 0 && tape.nunused == 1 && tape_is_whole(&tape, NULL));
    CHECK(tape_unused(&tape) == 0 && tape.live == 1 && tape.nunused == 0);
    // and used again: until its user goes
    y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    use(&tape, y);
    tape_unwatch(&tape, y);
    user = held(&tape, tape_neg(&tape, y));
    CHECK(tape_unused(&tape) == 0 && tape.live == 4);
    tape_release(&tape, user);
    CHECK(tape.live == 1 && tape.nunused == 0);
    // and watched again: it is handed out, once
    y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    use(&tape, y);
    tape_unwatch(&tape, y);
    watched(&tape, y);
    use(&tape, y);
    CHECK(tape.nunused == 1 && tape.watched == 1);
    CHECK(tape_unused(&tape) == y && tape_unused(&tape) == 0);
    // what is freed on the way may be the last user of the next
    Index z = watched(&tape, tape_unary(&tape, OP_TANH, y));
    use(&tape, z);
    tape_unwatch(&tape, z);
    CHECK(tape_unused(&tape) == y && tape.live == 2);
    tape_unwatch(&tape, y);
    tape_release(&tape, x);
    CHECK(tape.live == 0 && tape.watched == 0);
    tape_free(&tape);
}

// a tower of watched nodes, each the last user of the one below
static void test_watched_tower(void) {
    enum { DEPTH = 100000 };
    static Index tower[DEPTH];
    for (int way = 0; way < 3; way++) {
        Tape tape;
        tape_init(&tape);
        Index x = leaf(&tape, 0.0);
        for (int i = 0; i < DEPTH; i++) {
            tower[i] = watched(&tape, tape_user(&tape, i, i ? &tower[i - 1] : &x, NULL, 1));
        }
        CHECK(tape.watched == DEPTH && tape.live == 1 + 2 * DEPTH && tape_is_whole(&tape, NULL));
        int in_order = 1, top = DEPTH - 1;
        if (way == 0) {         // each is let go of when it is handed out
            tape_unwatch(&tape, tower[top]);
            for (Index i; (i = tape_unused(&tape));) {
                in_order &= i == tower[--top] && tape.nunused == 0;
                tape_unwatch(&tape, i);
            }
            CHECK(in_order && top == 0);
        } else if (way == 1) {  // from below: all go with the last
            for (int i = 0; i < DEPTH; i++) {
                CHECK(tape.live == 1 + 2 * DEPTH);
                tape_unwatch(&tape, tower[i]);
            }
        } else {                // all while they are on the list, by one call
            use(&tape, tower[top]);
            for (int i = 0; i < DEPTH; i++) tape_unwatch(&tape, tower[i]);
            CHECK(tape.live == 1 + 2 * DEPTH && tape.nunused == 1 && tape_unused(&tape) == 0);
        }
        CHECK(tape.live == 1 && tape.watched == 0 && tape.nunused == 0);
        tape_release(&tape, x);
        tape_free(&tape);
    }
}

// graphs that are freed by a known order, and recordings that are freed in one piece
static void test_watch_in_recordings(void) {
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 0.5), y = watched(&tape, tape_unary(&tape, OP_EXP, x));
    Index inner = tape_unary(&tape, OP_TANH, y), root = held(&tape, tape_binary(&tape, OP_ADD, inner, inner));
    CHECK(tape_forward(&tape, root) == 0 && tape_forward(&tape, root) == 0 && tape.scheduled == 1);
    tape_release(&tape, root);
    CHECK(tape.live == 2 && tape.scheduled == 0 && tape_unused(&tape) == y && data(&tape, y) == exp(0.5));
    // a watched root keeps its schedule until it is let go of
    CHECK(tape_forward(&tape, y) == 0 && tape.scheduled == 1);
    use(&tape, y);
    CHECK(tape_unused(&tape) == y && tape.scheduled == 1);
    tape_unwatch(&tape, y);
    CHECK(tape.scheduled == 0 && tape.live == 1);
    tape_release(&tape, x);

    enum { POINTS = 4, PARAMETERS = 3 * 3 + 2 * 4 };
    static const uint32_t sizes[] = {2, 3, 2};
    static const uint8_t activations[] = {OP_TANH, OP_LEAF};
    Index parameters[PARAMETERS], none[2 * POINTS] = {0};
    double numbers[2 * POINTS] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t labels[POINTS] = {0, 1, 1, 0};
    MLP model = {2, sizes, activations, parameters};
    RNG rng;
    rng_init(&rng, 3);
    CHECK(mlp_init(&tape, &model, &rng) == 0);
    Index before = tape.used;
    for (int what = 0; what < 4; what++) {
        CHECK(tape.used == before && tape.live == PARAMETERS);
        Index loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, POINTS));
        Index nodes = tape.live - PARAMETERS, total = tape.nodes[loss].a, weight = parameters[0];
        CHECK(tape.scheduled == 1 && tape_backward(&tape, loss) == 0);
        switch (what) {
        case 0:  // a node inside: what it is made of stays with it
            watched(&tape, total);
            tape_release(&tape, loss);
            CHECK(tape.live == PARAMETERS + nodes - 2 && tape_unused(&tape) == total);
            CHECK(tape_backward(&tape, total) == 0);
            tape_unwatch(&tape, total);
            break;
        case 1:  // a node inside, let go of before
            watched(&tape, total);
            tape_unwatch(&tape, total);
            tape_release(&tape, loss);
            CHECK(tape.nunused == 0);
            break;
        case 2:  // the root
            CHECK(tape_watch(&tape, loss) == 0);
            use(&tape, loss);
            CHECK(tape.live == PARAMETERS + nodes && tape_unused(&tape) == loss);
            tape_unwatch(&tape, loss);
            break;
        case 3:  // a leaf below, whose last user goes
            CHECK(tape_watch(&tape, weight) == 0);
            tape_release(&tape, loss);
            CHECK(tape.live == PARAMETERS && tape_unused(&tape) == weight && tape_unused(&tape) == 0);
            tape_unwatch(&tape, weight);
            CHECK(tape.live == PARAMETERS - 1 && tape.nodes[weight].op == OP_FREE);
            break;
        }
        CHECK(tape_is_whole(&tape, NULL) && tape.scheduled == 0);
    }
    for (Index i = 1; i < PARAMETERS; i++) tape_release(&tape, parameters[i]);
    CHECK(tape.live == 0 && tape.nodes[0].refs == 1);
    tape_free(&tape);
}

// the arena shrinks although there are watched nodes, down to the last one of them
static void test_trim_with_watched(void) {
    enum { DEPTH = 2000000 };
    for (int where = 0; where < 3; where++) {  // the watched node: at the bottom, further up, at the top
        Tape tape;
        tape_init(&tape);
        Index x = leaf(&tape, 0.0), y = x, w = 0;
        for (int i = 1; i <= DEPTH; i++) {
            y = tape_binary(&tape, OP_ADD, y, x);
            if (i == (where == 0 ? 1 : where == 1 ? 3 * (DEPTH / 4) : DEPTH)) w = watched(&tape, y);
        }
        if (where < 2) tape_release(&tape, held(&tape, y));
        else use(&tape, w);
        CHECK(tape.nunused == 1 && (where == 0 ? tape.capacity < 10000 : tape.capacity > DEPTH));
        CHECK(tape_is_whole(&tape, NULL) && tape_unused(&tape) == w);
        CHECK(tape.nodes[w].op == OP_ADD);
        tape_unwatch(&tape, w);
        CHECK(tape.live == 1 && tape.capacity < 10000);
        y = held(&tape, tape_neg(&tape, x));  // and goes on
        CHECK(tape_backward(&tape, y) == 0 && grad(&tape, x) == -1);
        tape_free(&tape);
    }
}

// a graph a million deep, without recursion; and the arena shrinks again
static void test_depth(void) {
    enum { DEPTH = 1000000 };
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 0.0), y = held(&tape, tape_neg(&tape, x));
    for (int i = 0; i < DEPTH; i++) {
        Index next = held(&tape, tape_binary(&tape, OP_ADD, y, tape_leaf(&tape, 1.0)));
        tape_release(&tape, y);
        y = next;
    }
    CHECK(tape_backward(&tape, y) == 0 && grad(&tape, x) == -1);
    tape.data[x] = 5.0;
    CHECK(tape_forward(&tape, y) == 0 && data(&tape, y) == DEPTH - 5);
    CHECK(tape.capacity > DEPTH);
    tape_release(&tape, y);
    CHECK(tape.live == 1 && tape.capacity < 10000);
    y = held(&tape, tape_neg(&tape, x));  // and goes on
    CHECK(tape_backward(&tape, y) == 0 && grad(&tape, x) == -2);
    tape_free(&tape);
}

// freed nodes are used again: the arena does not grow in a loop
static void test_reuse(void) {
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 1.0);
    for (int i = 0; i < 10000; i++) {
        Index y = held(&tape, tape_div(&tape, tape_unary(&tape, OP_EXP, x), tape_pow(&tape, x, 3.0, 1)));
        CHECK(tape_backward(&tape, y) == 0);
        tape_release(&tape, y);
    }
    CHECK(tape.live == 1 && tape.used < 20);
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// sums over nodes and numbers mixed

// a node is the operation on exactly these operands
static int is(const Tape *tape, Index i, Op op, Index a, Index b) {
    return tape->nodes[i].op == op && tape->nodes[i].a == a && tape->nodes[i].b == b;
}

// a node is a leaf with this number
static int is_leaf(const Tape *tape, Index i, double data) {
    return is(tape, i, OP_LEAF, 0, 0) && tape->data[i] == data;
}

static void test_dot(void) {
    Tape tape;
    tape_init(&tape);
    Index a = leaf(&tape, 2.0), b = leaf(&tape, 3.0), c = leaf(&tape, 5.0), none[2] = {0};
    const Node *nodes = tape.nodes;

    // 1 + 2*4 + a*b + 7*c + c*0.5 + 3*6: numbers until a*b comes, and leaves after it
    Index w[] = {0, a, 0, c, 0}, x[] = {0, b, c, 0, 0};
    double ws[] = {2, NAN, 7, NAN, 3}, xs[] = {4, NAN, NAN, 0.5, 6};
    Index dot = held(&tape, tape_dot(&tape, 0, 1.0, w, ws, x, xs, 5));
    CHECK(data(&tape, dot) == 9 + 6 + 35 + 2.5 + 18 && tape.live == 3 + 11);
    Index i = dot;
    CHECK(nodes[i].op == OP_ADD && is_leaf(&tape, nodes[i].b, 18));
    i = nodes[i].a;
    CHECK(nodes[i].op == OP_ADD && is(&tape, nodes[i].b, OP_MUL, c, nodes[nodes[i].b].b));
    CHECK(is_leaf(&tape, nodes[nodes[i].b].b, 0.5));
    i = nodes[i].a;
    CHECK(nodes[i].op == OP_ADD && is(&tape, nodes[i].b, OP_MUL, c, nodes[nodes[i].b].b));
    CHECK(is_leaf(&tape, nodes[nodes[i].b].b, 7));
    i = nodes[i].a;
    CHECK(nodes[i].op == OP_ADD && is(&tape, nodes[i].a, OP_MUL, a, b) && is_leaf(&tape, nodes[i].b, 9));
    tape_release(&tape, dot);
    CHECK(tape.live == 3);

    // after a node all is recorded, the numbers too
    dot = held(&tape, tape_dot(&tape, a, NAN, none, ws, none, xs, 1));
    CHECK(is(&tape, dot, OP_ADD, a, nodes[dot].b) && is_leaf(&tape, nodes[dot].b, 8));
    tape_release(&tape, dot);
    // where there are no numbers they need not be there
    dot = held(&tape, tape_dot(&tape, a, NAN, &b, NULL, &b, NULL, 1));
    CHECK(is(&tape, dot, OP_ADD, a, nodes[dot].b) && is(&tape, nodes[dot].b, OP_MUL, b, b));
    tape_release(&tape, dot);
    // numbers alone are a leaf, and a node alone is itself
    dot = held(&tape, tape_dot(&tape, 0, 1.0, none, ws, none, xs, 1));
    CHECK(is_leaf(&tape, dot, 9));
    tape_release(&tape, dot);
    dot = held(&tape, tape_dot(&tape, 0, 1.0, NULL, NULL, NULL, NULL, 0));
    CHECK(is_leaf(&tape, dot, 1));
    tape_release(&tape, dot);
    CHECK(tape_dot(&tape, a, NAN, NULL, NULL, NULL, NULL, 0) == a && tape.live == 3);
    tape_free(&tape);
}

static void test_sum(void) {
    Tape tape;
    tape_init(&tape);
    Index a = leaf(&tape, 2.0), b = leaf(&tape, 3.0), none[2] = {0};
    const Node *nodes = tape.nodes;

    // 1 + 4 + 0.5 + a + b + 6
    Index x[] = {0, 0, a, b, 0};
    double xs[] = {4, 0.5, NAN, NAN, 6};
    Index sum = held(&tape, tape_sum(&tape, 0, 1.0, x, xs, 5));
    CHECK(data(&tape, sum) == 16.5 && tape.live == 2 + 5);
    CHECK(nodes[sum].op == OP_ADD && is_leaf(&tape, nodes[sum].b, 6));
    Index i = nodes[sum].a;
    CHECK(is(&tape, i, OP_ADD, nodes[i].a, b));
    i = nodes[i].a;
    CHECK(is(&tape, i, OP_ADD, a, nodes[i].b) && is_leaf(&tape, nodes[i].b, 5.5));
    tape_release(&tape, sum);

    sum = held(&tape, tape_sum(&tape, b, NAN, &a, NULL, 1));
    CHECK(is(&tape, sum, OP_ADD, b, a));
    tape_release(&tape, sum);
    sum = held(&tape, tape_sum(&tape, 0, 1.0, none, xs, 2));
    CHECK(is_leaf(&tape, sum, 5.5));
    tape_release(&tape, sum);
    CHECK(tape_sum(&tape, a, NAN, NULL, NULL, 0) == a && tape.live == 2);
    tape_free(&tape);
}

static void test_softmax(void) {
    Tape tape;
    tape_init(&tape);
    Index x[] = {leaf(&tape, 1.0), leaf(&tape, 1000.0), leaf(&tape, 999.0)}, out[3];
    CHECK(softmax(&tape, x, 3, out) == 0);
    for (size_t i = 0; i < 3; i++) tape_hold(&tape, out[i]);
    double denom = 1 + exp(-1.0);
    CHECK(data(&tape, out[0]) == 0 && data(&tape, out[1]) == pow(denom, -1.0));
    CHECK(data(&tape, out[2]) == exp(-1.0) * pow(denom, -1.0));
    CHECK(tape_backward(&tape, out[2]) == 0 && fabs(grad(&tape, x[1]) + grad(&tape, x[2])) < 1e-16);
    // and with another largest
    tape.data[x[0]] = 2000.0;
    for (size_t i = 0; i < 3; i++) CHECK(tape_forward(&tape, out[i]) == 0);
    CHECK(data(&tape, out[0]) == 1 && data(&tape, out[1]) == 0 && data(&tape, out[2]) == 0);
    for (size_t i = 0; i < 3; i++) tape_release(&tape, out[i]);
    CHECK(tape.live == 3);
    tape_free(&tape);
}

// a call that records many nodes frees all of them if there is no room for the last one
static void test_no_room(void) {
    enum { ARENA = 1024, LARGEST = 1 << 30 };
    static const size_t needed[] = {7, 9, 6, 5, 24, 21};
    static const Index none[3] = {0};
    static const double numbers[3] = {1.0, 2.0, 3.0};
    Tape tape;
    tape_init(&tape);
    Index x[ARENA], out[3] = {0};
    for (size_t i = 0; i < ARENA; i++) x[i] = leaf(&tape, 0.5 * (double)i);
    CHECK(tape.used == tape.capacity);
    tape.used = tape.capacity = LARGEST;  // an arena that cannot grow
    Index mixed[3] = {x[0], 0, x[1]};
    for (int what = 0; what < 6; what++) {
        for (size_t room = 0; room <= needed[what]; room++) {
            if (room > 0) tape_release(&tape, x[ARENA - room]);
            Index live = tape.live;
            size_t n = 1;
            tape.fault.code = FAULT_NONE;
            switch (what) {
            case 0: out[0] = tape_dot(&tape, 0, 1.0, x, NULL, x, NULL, 3); break;
            case 1: out[0] = tape_dot(&tape, x[3], 0.0, none, numbers, x, NULL, 3); break;
            case 2: out[0] = tape_dot(&tape, x[3], 0.0, none, numbers, none, numbers, 3); break;
            case 3: out[0] = tape_sum(&tape, 0, 1.0, mixed, numbers, 3); break;
            case 4: n = softmax(&tape, x, 3, out) < 0 ? 0 : 3; break;
            case 5: out[0] = cross_entropy(&tape, x, 3, 1); break;
            }
            int recorded = n > 0 && out[0];
            CHECK(recorded == (room == needed[what]));
            CHECK(tape.fault.code == (recorded ? FAULT_NONE : FAULT_MEMORY));
            if (recorded) {
                CHECK(tape.live == live + room);
                for (size_t i = 0; i < n; i++) tape_discard(&tape, out[i]);
            }
            CHECK(tape.live == live);
        }
        for (size_t room = needed[what]; room > 0; room--) x[ARENA - room] = leaf(&tape, 0.0);
    }
    tape.used = tape.capacity = ARENA;
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// networks

static void test_network(void) {
    Tape tape;
    tape_init(&tape);
    static const uint32_t sizes[] = {3, 1, 4, 2};
    static const uint8_t activations[] = {OP_TANH, OP_RELU, OP_LEAF};
    Index parameters[1 * 4 + 4 * 2 + 2 * 5];
    MLP model = {3, sizes, activations, parameters};
    CHECK(mlp_parameters(&model) == 22);
    RNG rng;
    rng_init(&rng, 7);
    CHECK(mlp_init(&tape, &model, &rng) == 0);
    Index none[6] = {0}, out[2];
    double numbers[6] = {0.1, -0.2, 0.3, 1.0, 2.0, 3.0};
    CHECK(mlp_call(&tape, &model, none, numbers, out) == 0);
    Index loss = held(&tape, cross_entropy(&tape, out, 2, 1));
    double p0 = data(&tape, out[0]), p1 = data(&tape, out[1]);
    CHECK(fabs(data(&tape, loss) - log(1 + exp(p0 - p1))) < 1e-15);
    CHECK(tape_backward(&tape, loss) == 0);
    tape_release(&tape, loss);
    CHECK(tape.live == 22);

    int32_t labels[2] = {1, 0};
    loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, 2));
    AdamW adamw = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
    CHECK(adam_init(&tape, parameters, 22) == 0);
    double before = data(&tape, loss), last = before;
    for (int i = 0; i < 50; i++) {  // one recording, replayed
        zero_grad(&tape, parameters, 22);
        CHECK(tape_forward(&tape, loss) == 0 && tape_backward(&tape, loss) == 0);
        last = data(&tape, loss);
        CHECK(adamw_step(&tape, &adamw, parameters, 22) == 0);
    }
    CHECK(last < before / 2 && adamw.t == 50);

    // a gradient whose square is too large stops the step, and nothing has moved
    double first = data(&tape, parameters[0]);
    tape.grad[parameters[21]] = 1e200;
    CHECK(adamw_step(&tape, &adamw, parameters, 22) == -1);
    CHECK(tape.fault.code == FAULT_FORWARD && tape.fault.a == 1e200 && adamw.t == 50);
    CHECK(data(&tape, parameters[0]) == first);

    // so does a bias that makes the loss infinite, with everything freed
    tape_release(&tape, loss);
    Index live = tape.live;
    tape.data[parameters[21]] = -DBL_MAX;
    CHECK(!mean_cross_entropy(&tape, &model, none, numbers, labels, 2));
    CHECK(tape.fault.op == OP_LOG && tape.live == live);
    for (size_t i = 0; i < 22; i++) tape_release(&tape, parameters[i]);
    CHECK(tape.live == 0);
    tape_free(&tape);
}

// of two classes, by one weight each and no bias: the larger of x and -x
static void test_accuracy(void) {
    Tape tape;
    tape_init(&tape);
    static const uint32_t sizes[] = {1, 2};
    static const uint8_t activations[] = {OP_LEAF};
    Index parameters[4] = {leaf(&tape, 1.0), leaf(&tape, 0.0), leaf(&tape, -1.0), leaf(&tape, 0.0)};
    MLP model = {1, sizes, activations, parameters};
    Index x[5] = {0, 0, 0, leaf(&tape, 2.0), 0};
    double numbers[5] = {0.5, -0.5, 0.0, 0.0, NAN}, share = 0.0;
    int32_t right[5] = {0, 1, 0, 0, 0}, wrong[5] = {1, 0, 1, 1, 1};
    CHECK(accuracy(&tape, &model, x, numbers, right, 4, &share) == 0 && share == 1.0);
    CHECK(accuracy(&tape, &model, x, numbers, wrong, 4, &share) == 0 && share == 0.0);
    CHECK(accuracy(&tape, &model, x, numbers, right, 5, &share) == 0 && share == 0.8);  // nan is wrong
    CHECK(accuracy(&tape, &model, x, numbers, wrong, 5, &share) == 0 && share == 0.0);
    CHECK(tape.live == 5);
    tape_free(&tape);
}

// the same inputs in every point: an order lists a node once
static void test_repeated_inputs(void) {
    enum { INPUTS = 10, POINTS = 50 };
    Tape tape;
    tape_init(&tape);
    static const uint32_t sizes[] = {INPUTS, 2};
    static const uint8_t activations[] = {OP_LEAF};
    Index parameters[2 * (INPUTS + 1)], x[INPUTS * POINTS];
    MLP model = {1, sizes, activations, parameters};
    RNG rng;
    rng_init(&rng, 3);
    CHECK(mlp_init(&tape, &model, &rng) == 0);
    for (size_t i = 0; i < INPUTS; i++) x[i] = leaf(&tape, (double)i);
    for (size_t i = INPUTS; i < INPUTS * POINTS; i++) x[i] = x[i - INPUTS];
    double numbers[INPUTS * POINTS] = {0};
    int32_t labels[POINTS] = {0};
    Index loss = held(&tape, mean_cross_entropy(&tape, &model, x, numbers, labels, POINTS));
    CHECK(tape.kept <= tape.used);
    CHECK(tape_forward(&tape, loss) == 0 && tape_backward(&tape, loss) == 0);
    tape_release(&tape, loss);
    CHECK(tape.live == INPUTS + 2 * (INPUTS + 1) && tape.kept == 0);
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// recordings that forward goes over again, and recordings made in one call

typedef struct Sum {
    Index w[3], x[3], dot, out;
} Sum;

// tanh(2 + w0*x0 + w1*x1 + w2*x2) * x0, which its caller holds
static Sum sum_record(Tape *tape) {
    Sum sum;
    for (int i = 0; i < 3; i++) sum.w[i] = leaf(tape, 0.25 * i - 0.5);
    for (int i = 0; i < 3; i++) sum.x[i] = leaf(tape, 1.0 - 0.75 * i);
    sum.dot = tape_dot(tape, tape_leaf(tape, 2.0), 0.0, sum.w, NULL, sum.x, NULL, 3);
    sum.out = held(tape, tape_binary(tape, OP_MUL, tape_unary(tape, OP_TANH, sum.dot), sum.x[0]));
    return sum;
}

static void test_replay(void) {
    Tape tape, other;
    tape_init(&tape);
    tape_init(&other);
    Sum sum = sum_record(&tape), plain = sum_record(&other);
    CHECK(tape_forward(&tape, sum.out) == 0 && !tape.held);
    CHECK(tape_forward(&tape, sum.out) == 0 && tape.held);  // now it is replayed
    tape.data[sum.w[1]] = other.data[plain.w[1]] = 1.5;
    CHECK(tape_forward(&tape, sum.out) == 0 && tape_forward(&other, plain.out) == 0);
    CHECK(data(&tape, sum.out) == data(&other, plain.out));
    CHECK(tape_backward(&tape, sum.out) == 0 && tape_backward(&other, plain.out) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(grad(&tape, sum.w[i]) == grad(&other, plain.w[i]));
        CHECK(grad(&tape, sum.x[i]) == grad(&other, plain.x[i]));
    }
    tape.data[sum.w[0]] = 8.0;  // set after the pass: its results do not change
    CHECK(data(&tape, sum.dot) != data(&other, plain.dot));
    CHECK(*tape_data(&tape, sum.dot) == data(&other, plain.dot) && !tape.held);
    for (Index i = 1; i <= tape.used; i++) {
        CHECK(i == sum.w[0] || data(&tape, i) == data(&other, i));
        CHECK(grad(&tape, i) == grad(&other, i));
    }

    // a number that was set since is what backward reads
    CHECK(tape_forward(&tape, sum.out) == 0);
    zero_grad(&tape, sum.w, 3);
    tape.data[sum.x[2]] = 5.0;
    CHECK(tape_backward(&tape, sum.out) == 0 && !tape.held);
    CHECK(grad(&tape, sum.w[2]) == 5.0 * grad(&tape, sum.dot));

    // a freed root's replay writes its numbers to the nodes that are still alive
    tape.data[sum.w[2]] = -1.0;
    CHECK(tape_forward(&tape, sum.out) == 0 && tape.held);
    tape_hold(&tape, sum.dot);
    double stale = data(&tape, sum.dot), act = 2.0;
    for (int i = 0; i < 3; i++) act = act + data(&tape, sum.w[i]) * data(&tape, sum.x[i]);
    tape_release(&tape, sum.out);
    CHECK(stale != act && data(&tape, sum.dot) == act && !tape.held);
    tape_release(&tape, sum.dot);
    CHECK(tape.live == 6);
    tape_free(&tape);
    tape_free(&other);
}

// a function concerns the schedules that list its node, and no others
static void test_set_function(void) {
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 0.5), y = leaf(&tape, 2.0);
    Index shared = held(&tape, tape_unary(&tape, OP_EXP, x)), only = held(&tape, tape_unary(&tape, OP_TANH, shared));
    Index one = held(&tape, tape_binary(&tape, OP_MUL, only, x));
    Index two = held(&tape, tape_binary(&tape, OP_MUL, shared, y)), other = held(&tape, tape_neg(&tape, y));
    Index roots[] = {one, two, other};
    for (int k = 0; k < 6; k++) CHECK(tape_forward(&tape, roots[k % 3]) == 0);
    CHECK(tape.scheduled == 3);
    tape_settle(&tape);

    tape_set_function(&tape, only, 1);
    CHECK(tape.scheduled == 2 && tape_backward(&tape, one) == -1 && tape.fault.code == FAULT_USER);
    CHECK(tape_forward(&tape, other) == 0 && tape.held);  // this is replayed as before
    tape_settle(&tape);
    tape_set_function(&tape, only, 0);
    CHECK(tape_backward(&tape, one) == 0 && tape_forward(&tape, one) == 0 && tape.scheduled == 3);

    // a node that two roots are above
    tape_set_function(&tape, shared, 1);
    CHECK(tape.scheduled == 1 && tape_backward(&tape, one) == -1 && tape_backward(&tape, two) == -1);
    CHECK(tape_forward(&tape, other) == 0 && tape.held && tape_backward(&tape, other) == 0);
    tape_set_function(&tape, y, 1);  // a leaf
    CHECK(tape.scheduled == 0 && !tape.held && tape_backward(&tape, other) == -1);
    tape_set_function(&tape, y, 0);
    CHECK(tape_forward(&tape, other) == 0 && tape.scheduled == 1);
    tape_set_function(&tape, other, 1);  // and a root
    CHECK(tape.scheduled == 0 && tape_backward(&tape, other) == -1);
    tape_set_function(&tape, other, 0);
    tape_set_function(&tape, shared, 0);
    // a watched root, too, which no node uses
    CHECK(tape_watch(&tape, other) == 0 && tape.nodes[other].refs == 0);
    CHECK(tape_forward(&tape, other) == 0 && tape_forward(&tape, other) == 0 && tape.scheduled == 1);
    tape_set_function(&tape, other, 1);
    CHECK(tape.scheduled == 0 && tape_backward(&tape, other) == -1);
    tape_hold(&tape, other);
    tape_unwatch(&tape, other);

    // a replay that is dropped writes its numbers to the nodes first
    for (int k = 0; k < 3; k++) CHECK(tape_forward(&tape, one) == 0);
    tape.data[x] = -1.0;
    CHECK(tape_forward(&tape, one) == 0 && tape.held);
    tape_set_function(&tape, only, 1);
    CHECK(!tape.held && data(&tape, only) == tanh(exp(-1.0)));
    tape_set_function(&tape, only, 0);

    // backward does not visit nodes below a shift: its order stays
    Index shift = tape_unary(&tape, OP_SHIFT, shared), shifted = held(&tape, tape_binary(&tape, OP_ADD, y, shift));
    CHECK(tape_forward(&tape, shifted) == 0 && tape_forward(&tape, shifted) == 0 && tape.scheduled == 1);
    CHECK(tape_backward(&tape, shifted) == 0 && tape_backward(&tape, shifted) == 0 && tape.scheduled == 2);
    tape_set_function(&tape, shared, 1);
    CHECK(tape.scheduled == 1 && tape.nodes[shifted].flags & NODE_SCHEDULED);
    CHECK(tape_backward(&tape, shifted) == 0 && tape_forward(&tape, shifted) == 0 && tape.scheduled == 1);
    tape_set_function(&tape, y, 1);
    CHECK(tape.scheduled == 0 && tape_backward(&tape, shifted) == -1);

    Index all[] = {x, y, shared, only, one, two, other, shifted};
    for (size_t i = 0; i < 8; i++) tape_release(&tape, all[i]);
    CHECK(tape.live == 0 && tape.kept == 0);
    tape_free(&tape);
}

// after a million roots, each with a forward pass, the table of schedules is small again
static void test_many_roots(void) {
    enum { ROOTS = 1000000 };
    Tape tape;
    tape_init(&tape);
    Index x = leaf(&tape, 1.0), *roots = malloc(ROOTS * sizeof *roots);
    int failed = 0;
    for (int i = 0; i < ROOTS; i++) {
        roots[i] = tape_unary(&tape, OP_ABS, x);
        tape_hold(&tape, roots[i]);
        failed += tape_forward(&tape, roots[i]) < 0;
    }
    CHECK(failed == 0 && tape.scheduled == ROOTS && tape.buckets >= ROOTS / 2);
    for (int i = 0; i < ROOTS - 1000; i++) tape_release(&tape, roots[i]);
    CHECK(tape.scheduled == 1000 && tape.buckets <= 8 * 1024);
    for (int i = ROOTS - 1000; i < ROOTS; i++) failed += tape_forward(&tape, roots[i]) < 0 || !tape.held;
    CHECK(failed == 0 && tape.scheduled == 1000);  // the others can still be found
    tape_set_function(&tape, x, 1);
    CHECK(tape.scheduled == 0 && tape.kept == 0 && tape.buckets == 16);
    for (int i = ROOTS - 1000; i < ROOTS; i++) tape_release(&tape, roots[i]);
    CHECK(tape.live == 1);
    free(roots);
    tape_free(&tape);
}

static void test_region(void) {
    enum { POINTS = 4 };
    Tape tape;
    tape_init(&tape);
    static const uint32_t sizes[] = {2, 3, 2};
    static const uint8_t activations[] = {OP_TANH, OP_LEAF};
    Index parameters[3 * 3 + 2 * 4], none[2 * POINTS] = {0};
    double numbers[2 * POINTS] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t labels[POINTS] = {0, 1, 1, 0};
    MLP model = {2, sizes, activations, parameters};
    RNG rng;
    rng_init(&rng, 3);
    CHECK(mlp_init(&tape, &model, &rng) == 0);
    Index live = tape.live, used = tape.used, most = 0;
    Index loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, POINTS));
    Index nodes = tape.live - live;
    CHECK(loss == used + nodes && tape.used == loss);
    tape_release(&tape, loss);
    CHECK(tape.live == live && tape.used == used);  // in one piece

    // each loss goes when the next is there, as in a Python loop; a node of its own comes between
    Index before = 0, single = 0;
    for (int i = 0; i < 500; i++) {
        loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, POINTS));
        CHECK(tape_backward(&tape, loss) == 0);
        if (before) tape_release(&tape, before);
        if (single) tape_release(&tape, single);
        before = loss;
        single = leaf(&tape, i);
        if (tape.used > most) most = tape.used;
    }
    CHECK(most <= live + 4 * nodes + 1024);  // so many free places may stay unused
    tape_release(&tape, single);

    // a node that is held stays, and all below it
    Index total = tape.nodes[loss].a;
    tape_hold(&tape, total);
    tape_release(&tape, loss);
    CHECK(tape.live == live + nodes - 2);
    CHECK(tape_backward(&tape, total) == 0);
    tape_release(&tape, total);
    CHECK(tape.live == live);

    // the first pass backward finds the numbers that a replay holds, its root's number set or not
    double slope[2];
    for (int is_set = 0; is_set <= 1; is_set++) {
        tape.data[parameters[0]] = -1.0;
        loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, POINTS));
        CHECK(tape_forward(&tape, loss) == 0);
        tape.data[parameters[0]] = 0.5;
        zero_grad(&tape, parameters, live);
        CHECK(tape_forward(&tape, loss) == 0 && tape.held);
        if (is_set) *tape_data(&tape, loss) = 0.0;
        CHECK(tape_backward(&tape, loss) == 0);
        slope[is_set] = grad(&tape, parameters[0]);
        CHECK(*tape_grad(&tape, tape.nodes[loss].a) == 1.0 / (double)POINTS);
        tape_release(&tape, loss);
    }
    CHECK(slope[0] == slope[1]);

    // and a parameter without other references is freed with its last user
    loss = held(&tape, mean_cross_entropy(&tape, &model, none, numbers, labels, POINTS));
    for (Index i = 0; i < live; i++) tape_release(&tape, parameters[i]);
    CHECK(tape.live == live + nodes);
    tape_release(&tape, loss);
    CHECK(tape.live == 0 && tape.nodes[0].refs == 1);
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// powers that need no pow: its bits, at random and where x*x, sqrt(x) and 1/x have others

static void test_square(void) {
    RNG rng;
    rng_init(&rng, 11);
    volatile double two = 2.0;
    int others = 0, wrong = 0;
    for (int i = 0; i < 3000000; i++) {
        double x = rng_random_u32(&rng) * 0x1p-32 + rng_random_u32(&rng) * 0x1p-64, square;
        if (i % 3 == 0) x = ldexp(x, (int)(rng_random_u32(&rng) % 2000) - 1000);
        if (i % 2 == 0) x = -x;
        double expected = pow(x, two);
        others += x * x != expected;
        int real = number_square(x, &square);
        wrong += square != expected || real != isfinite(expected);
    }
    CHECK(wrong == 0);
    CHECK(others > 500);  // else this has tested nothing
    double square;
    CHECK(number_square(0.0, &square) && square == 0 && number_square(INFINITY, &square));
    CHECK(isinf(square) && number_square(NAN, &square) && isnan(square));
    CHECK(number_square(5e-324, &square) && square == 0);
}

// Half of the numbers are such that their root is next to the middle between two floats: the
// square of the middle, rounded, and the floats beside it.
static void test_root(void) {
    RNG rng;
    rng_init(&rng, 12);
    volatile double half = 0.5;
    int others = 0, wrong = 0, unsure = 0;
    for (int i = 0; i < 3000000; i++) {
        double x = rng_random_u32(&rng) * 0x1p-32 + rng_random_u32(&rng) * 0x1p-64, root;
        if (i % 2 == 0) {
            double above = nextafter(x, 2.0);  // middle**2 = x**2 + x * (above - x) + ...
            x = x * x + x * (above - x);
            for (int k = (int)(rng_random_u32(&rng) % 3); k > 0; k--) x = nextafter(x, i % 4 ? 0.0 : 4.0);
        }
        if (i % 3 == 0) x = ldexp(x, (int)(rng_random_u32(&rng) % 2000) - 1000);
        double expected = pow(x, half);
        others += sqrt(x) != expected;
        unsure += !root_is_sure(x, &root, 0);
        number_power(x, 0.5, &root);
        wrong += root != expected;
    }
    CHECK(wrong == 0);
    CHECK(!POW_IS_KNOWN || (others > 500 && unsure < 1500000));  // else this has tested nothing
    double root;
    CHECK(number_power(0.0, 0.5, &root) && root == 0 && number_power(INFINITY, 0.5, &root) && isinf(root));
    CHECK(number_power(-0.0, 0.5, &root) && root == 0 && !signbit(root) && !number_power(-1.0, 0.5, &root));
    CHECK(number_power(NAN, 0.5, &root) && isnan(root) && number_power(5e-324, 0.5, &root)
          && root == pow(5e-324, half));
}

// The same for inverses: half of the numbers are next to one whose result is in the middle.
static void test_inverse(double exponent, int (*is_sure)(double x, double *out, int fused)) {
    RNG rng;
    rng_init(&rng, 13);
    volatile double k = exponent;
    int others = 0, wrong = 0, unsure = 0;
    double inverse;
    for (int i = 0; i < 250000; i++) {
        double x = 0.25 + rng_random_u32(&rng) * 0x1p-32 + rng_random_u32(&rng) * 0x1p-64;
        if (i % 2 == 0) {
            double first = pow(x, k), half = (nextafter(first, 1e9) - first) / 2;
            x += half / (k * pow(x, k - 1));
            for (int n = (int)(rng_random_u32(&rng) % 3); n > 0; n--) x = nextafter(x, i % 4 ? 0.0 : 4.0);
        }
        if (i % 3 == 0) x = ldexp(x, (int)(rng_random_u32(&rng) % 2000) - 1000);
        if (i % 5 == 0 && k == floor(k)) x = -x;
        double expected = pow(x, k);
        int sure = is_sure(x, &inverse, i % 7 == 0);
        others += inverse != expected;
        unsure += !sure;
        wrong += sure && inverse != expected;
        int real = number_power(x, k, &inverse);
        wrong += inverse != expected || real != isfinite(expected);
    }
    CHECK(wrong == 0);
    CHECK(!POW_IS_KNOWN || (others > 25 && unsure < 125000));  // else this has tested nothing
    double edges[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, -1.0, 5e-324, DBL_MAX, 0x1p128, 0x1p-128, 0x1p64, 0x1p-64};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        double expected = pow(edges[i], k);
        number_power(edges[i], k, &inverse);
        CHECK(isnan(expected) ? isnan(inverse) : memcmp(&inverse, &expected, sizeof inverse) == 0);
    }
}

// -----------------------------------------------------------------------------
// many at once, against one by one

static double any_number(RNG *rng) {
    static const double odd[] = {0.0,     -0.0,    5e-324,   -5e-324,   0x1p-1022, 0x1p-900,
                                 0x1p900, DBL_MAX, INFINITY, -INFINITY, NAN};
    if (rng_random_u32(rng) % 64 == 0) return odd[rng_random_u32(rng) % 11];
    return ldexp(rng_uniform(rng, -2.0, 2.0), (int)(rng_random_u32(rng) % 40) - 20);
}

static int is_equal(double x, double y) {
    return isnan(x) ? isnan(y) : memcmp(&x, &y, sizeof x) == 0;
}

static void test_many(void) {
    enum { MOST = 150 };
    static const double exponents[] = {2.0, 1.0, 0.5, -1.0, -2.0, -0.5, -1.5, 3.0, 0.25};
    RNG rng;
    rng_init(&rng, 14);
    double x[MOST], out[MOST], one;
    int wrong = 0;
    for (int i = 0; i < 6000; i++) {
        size_t n = rng_random_u32(&rng) % (MOST + 1);
        double k = exponents[i % 9], y = 1 - pow(i % 2 ? 0.9 : 0.999, i / 100 + 1);
        int real = 1;
        if (i % 50 == 0) y = i % 100 ? 1.0 : any_number(&rng);
        for (size_t j = 0; j < n; j++) x[j] = i % 3 ? fabs(any_number(&rng)) : any_number(&rng);
        quotients(x, y, out, n);
        for (size_t j = 0; j < n; j++) wrong += !is_equal(out[j], x[j] / y);
        int found = powers(x, k, out, n);
        for (size_t j = 0; j < n; j++) {
            real &= number_pow(x[j], k, &one);
            wrong += !is_equal(out[j], one);
        }
        wrong += found != real;
    }
    CHECK(wrong == 0);
}

// -----------------------------------------------------------------------------
// the sigmoid: the usual formula, and where that overflows none that raises or jumps

static void test_sigmoid(void) {
    RNG rng;
    rng_init(&rng, 12);
    int wrong = 0;
    for (int i = 0; i < 1000000; i++) {
        double x = rng_uniform(&rng, -709.0, 709.0);
        if (i % 2 == 0) x = rng_uniform(&rng, -20.0, 20.0);
        wrong += number_sigmoid(x) != 1 / (1 + exp(-x));
    }
    CHECK(wrong == 0);
    double last = -709.782712893384, x = last + 1e-11, before = 1;
    CHECK(isfinite(exp(-last)) && !isfinite(exp(-nextafter(last, -INFINITY))));
    for (; x > last - 1e-11; x = nextafter(x, -INFINITY)) {
        double y = number_sigmoid(x);
        CHECK(y > 0 && y <= before);
        CHECK(x >= last || y == exp(x) / (1 + exp(x)));
        before = y;
    }
    CHECK(number_sigmoid(-INFINITY) == 0 && number_sigmoid(INFINITY) == 1);
    CHECK(number_sigmoid(-DBL_MAX) == 0 && number_sigmoid(DBL_MAX) == 1 && isnan(number_sigmoid(NAN)));
}

// -----------------------------------------------------------------------------
// steps of the optimisers, against their lines in C

// p.data after a step; and its moments
static double stepped(int is_adamw, double data, double *m, double *v, double grad, double eps, double t) {
    volatile double two = 2.0, half = 0.5;
    *m = 0.875 * *m + (1 - 0.875) * grad;
    *v = 0.96875 * *v + (1 - 0.96875) * pow(grad, two);
    double m_hat = *m / (1 - pow(0.875, t)), v_hat = *v / (1 - pow(0.96875, t)), root = pow(v_hat, half);
    if (is_adamw) return data - 0.1 * (m_hat / (root + eps) + 0.25 * data);
    return data - 0.1 * m_hat / (root + eps);
}

static void test_steps(int is_shuffled) {
    enum { MOST = 300 };
    Tape tape;
    RNG rng;
    tape_init(&tape);
    rng_init(&rng, 13);
    Index p[MOST];
    double x[MOST], m[MOST], v[MOST];
    for (size_t i = 0; i < MOST; i++) p[i] = leaf(&tape, rng_uniform(&rng, -1, 1));
    for (size_t i = 0; i < MOST && is_shuffled; i++) {  // in any order
        size_t k = rng_random_u32(&rng) % MOST;
        Index other = p[k];
        p[k] = p[i];
        p[i] = other;
    }
    int wrong = 0;
    for (size_t n = 0; n <= MOST; n += n < 130 ? 1 : 17) {
        Adam adam = {.lr = 0.1, .beta1 = 0.875, .beta2 = 0.96875, .eps = 1e-8, .weight_decay = 0.25};
        CHECK(adam_init(&tape, p, n) == 0);
        for (size_t i = 0; i < n; i++) m[i] = v[i] = 0;
        for (int t = 1; t <= 40; t++) {
            double scale = ldexp(1.0, -t);
            for (size_t i = 0; i < n; i++) {
                double grad = i % 7 == 3 ? 0.0 : rng_uniform(&rng, -scale, scale);
                x[i] = stepped(t % 2, data(&tape, p[i]), &m[i], &v[i], grad, 1e-8, t);
                tape.grad[p[i]] = grad;
            }
            CHECK((t % 2 ? adamw_step : adam_step)(&tape, &adam, p, n) == 0 && adam.t == t);
            CHECK(is_shuffled || tape.nleaves == n);
            for (size_t i = 0; i < n; i++) {
                Index moments = tape_moments(&tape, p[i]);
                wrong += data(&tape, p[i]) != x[i] || data(&tape, moments) != m[i] || grad(&tape, moments) != v[i];
            }
        }
    }
    CHECK(wrong == 0);

    // the same parameter again and again; the last cannot be updated: all is as it was
    Index again[MOST];
    for (size_t i = 0; i < MOST; i++) again[i] = p[i < 100 ? i : i % 3 + 50];
    again[MOST - 1] = p[MOST - 1];
    Adam adam = {.lr = 0.1, .beta1 = 0.875, .beta2 = 0.96875, .eps = 1e-8};
    CHECK(adam_init(&tape, p, MOST) == 0 && adam_step(&tape, &adam, p, MOST) == 0);
    for (size_t i = 0; i < MOST; i++) x[i] = data(&tape, p[i]);
    tape.grad[p[MOST - 1]] = 1e200;
    CHECK(adam_step(&tape, &adam, again, MOST) == -1 && tape.fault.a == 1e200 && adam.t == 1);
    tape_forget_moments(&tape, p[MOST - 1]);
    CHECK(adam_step(&tape, &adam, again, MOST) == -1 && tape.fault.code == FAULT_MOMENTS);
    CHECK(adam_step(&tape, &adam, p, MOST) == -1 && tape.fault.code == FAULT_MOMENTS);
    for (size_t i = 0; i < MOST; i++) CHECK(data(&tape, p[i]) == x[i]);
    CHECK(tape_is_whole(&tape, NULL));
    CHECK(adam_step(&tape, &adam, again, MOST - 1) == 0 && adam.t == 2);
    CHECK(tape_is_whole(&tape, NULL));
    tape_free(&tape);
}

// the same of SGD with momentum: parameters in any order, and each one twice
static void test_momentum(void) {
    enum { N = 50 };
    Tape tape;
    RNG rng;
    tape_init(&tape);
    rng_init(&rng, 17);
    Index p[2 * N];
    double x[N], m[N] = {0};
    for (size_t i = 0; i < N; i++) x[i] = rng_uniform(&rng, -1, 1);
    for (size_t i = N; i-- > 0;) p[i] = p[2 * N - 1 - i] = leaf(&tape, x[i]);
    CHECK(sgd_momentum_step(&tape, 0.1, 0.875, p, 2 * N) == -1 && tape.fault.code == FAULT_MOMENTS);
    CHECK(data(&tape, p[0]) == x[0]);
    CHECK(adam_init(&tape, p, 2 * N) == 0);
    int wrong = 0;
    for (int t = 0; t < 20; t++) {
        for (size_t i = 0; i < N; i++) tape.grad[p[i]] = rng_uniform(&rng, -1, 1);
        for (size_t i = 0; i < N; i++) {
            for (int again = 0; again < 2; again++) {
                m[i] = 0.875 * m[i] + tape.grad[p[i]];
                x[i] -= 0.1 * m[i];
            }
        }
        CHECK(sgd_momentum_step(&tape, 0.1, 0.875, p, 2 * N) == 0);
        for (size_t i = 0; i < N; i++) {
            Index moments = tape_moments(&tape, p[i]);
            wrong += data(&tape, p[i]) != x[i] || data(&tape, moments) != m[i] || grad(&tape, moments) != 0;
        }
    }
    CHECK(wrong == 0);
    tape_forget_moments(&tape, p[N - 1]);
    CHECK(sgd_momentum_step(&tape, 0.1, 0.875, p, 2 * N) == -1 && tape.fault.code == FAULT_MOMENTS);
    for (size_t i = 0; i < N; i++) CHECK(data(&tape, p[i]) == x[i]);  // those before it have not moved
    CHECK(sgd_momentum_step(&tape, 0.1, 0.875, p, 0) == 0);
    CHECK(tape_is_whole(&tape, NULL));
    tape_free(&tape);
}

// -----------------------------------------------------------------------------
// numbers as text

static void test_repr(void) {
    static const struct {
        double x;
        const char *text;
    } expected[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {100.0, "100.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.5e16, "1.5e+16"},
        {0.0001, "0.0001"},
        {0.00012, "0.00012"},
        {1e-5, "1e-05"},
        {1e100, "1e+100"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {9007199254740993.0, "9007199254740992.0"},
        {0.1 + 0.2, "0.30000000000000004"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {5.684341886080802e-14, "5.684341886080802e-14"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {123456789.125, "123456789.125"},
        {2.0 / 3.0, "0.6666666666666666"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char text[32];
        number_repr(expected[i].x, text);
        CHECK(strcmp(text, expected[i].text) == 0);
    }
}

int main(void) {
    test_rng();
    test_data();
    test_backward();
    test_faults();
    test_order();
    test_user_nodes();
    test_linear();
    test_watch();
    test_unwatch();
    test_watched_tower();
    test_watch_in_recordings();
    test_trim_with_watched();
    test_depth();
    test_reuse();
    test_dot();
    test_sum();
    test_softmax();
    test_no_room();
    test_network();
    test_repeated_inputs();
    test_replay();
    test_set_function();
    test_many_roots();
    test_region();
    test_square();
    test_root();
    test_many();
    test_inverse(-1.0, inverse_is_sure);
    test_inverse(-2.0, inverse_square_is_sure);
    test_inverse(-0.5, inverse_root_is_sure);
    test_inverse(-1.5, inverse_cube_is_sure);
    test_steps(0);
    test_steps(1);
    test_momentum();
    test_accuracy();
    test_sigmoid();
    test_repr();
    return check_report();
}

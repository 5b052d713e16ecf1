// Every allocation of the library fails once: `make -C csrc memory`.
//
//     memory [slack]
//
// A scenario goes through all that a tape can do, in steps. It runs first with all the memory
// it wants, and then again and again: in the n-th run the n-th allocation fails, alone or with
// all that follow it in its step. A step that fails for it must leave the tape whole and its
// numbers as they were. It is then taken again, and in the end every number must have the
// bits of the first run, and no memory must be left. All of it is done with more and more
// slack, up to 24: the arena has only so many unused places when a step begins, and must grow in it.

#include <limits.h>
#include "tape.h"
#include "invariants.h"
#include "failing.h"

static int step_now;

#define CHECK_CONTEXT fprintf(stderr, "step %d, allocation %ld: ", step_now, first_fails)
#include "checks.h"

enum {
    MOST_NODES = 1 << 14,
    MOST_HANDLES = 400,
    MOST_NUMBERS = 1 << 18,
    POINTS = 16,
    INPUTS = 2,
    OUTPUTS = 3,
    PARAMETERS = 8 * 3 + 3 * 9,
    ROOTS = 20
};

static const uint32_t sizes[] = {INPUTS, 8, OUTPUTS};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};

typedef struct Run {
    Tape tape;
    Index handles[MOST_HANDLES];     // what the scenario holds
    size_t n;
    Index parameters[PARAMETERS], inputs[3];
    AdamW adamw;
    int has_moments;
    Index takes[3], exps[3];         // of a graph whose inputs change: of a row, and of a loss
    Recording recording;
    int calls;                       // how often it was called
    Index holds[MOST_NODES];         // by node: how often it is held
    uint64_t *seen;                  // bits of all numbers that were looked at
    size_t nseen;
    Index slack;                     // the arena has just so many fresh places at each step
} Run;

static uint64_t seen_first[MOST_NUMBERS], seen_again[MOST_NUMBERS];
static Run first = {.seen = seen_first}, again = {.seen = seen_again};

static void hold(Run *run, Index i) {
    tape_hold(&run->tape, i);
    run->holds[i]++;
    run->handles[run->n++] = i;
}

// hold a step's result, or say that it failed
static int kept(Run *run, Index i) {
    if (!i) return -1;
    hold(run, i);
    return 0;
}

static int kept_all(Run *run, int result, const Index *nodes, size_t n) {
    for (size_t i = 0; i < n && result == 0; i++) hold(run, nodes[i]);
    return result;
}

static void drop(Run *run, size_t at) {
    Index i = run->handles[at];
    run->handles[at] = run->handles[--run->n];
    if (run->tape.nodes[i].flags & NODE_WATCHED) {
        tape_unwatch(&run->tape, i);
        return;
    }
    run->holds[i]--;
    tape_release(&run->tape, i);
}

static Index last(const Run *run) {
    return run->handles[run->n - 1];
}

// -----------------------------------------------------------------------------
// the scenario

static MLP network(Run *run) {
    return (MLP){2, sizes, activations, run->parameters};
}

static int make_parameters(Run *run) {
    RNG rng;
    rng_init(&rng, 11);
    MLP mlp = network(run);
    if (mlp_init(&run->tape, &mlp, &rng) < 0) return -1;
    for (size_t i = 0; i < PARAMETERS; i++) {
        run->holds[run->parameters[i]]++;
        run->handles[run->n++] = run->parameters[i];
    }
    return 0;
}

static int make_moments(Run *run) {
    if (adam_init(&run->tape, run->parameters, PARAMETERS) < 0) return -1;
    run->adamw = (AdamW){.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.01};
    run->has_moments = 1;
    return 0;
}

static int record_operations(Run *run) {
    Tape *tape = &run->tape;
    Index a = run->parameters[0], b = run->parameters[1], square = tape_pow(tape, b, 2.0, 1);
    Index x =
        tape_div(tape, tape_sub(tape, a, tape_neg(tape, b)), tape_binary(tape, OP_ADD, square, tape_leaf(tape, 1.0)));
    x = tape_unary(tape, OP_SIGMOID, tape_unary(tape, OP_ABS, tape_unary(tape, OP_COS, tape_unary(tape, OP_SIN, x))));
    x = tape_unary(tape, OP_LOG, tape_unary(tape, OP_EXP, tape_unary(tape, OP_RELU, x)));
    x = tape_binary(tape, OP_POWER, tape_unary(tape, OP_SQRT, x), tape_unary(tape, OP_TANH, a));
    return kept(run, x);
}

static int record_dot_of_nodes(Run *run) {
    return kept(run,
                tape_dot(&run->tape, run->parameters[0], 0.0, run->parameters, NULL, run->parameters + 10, NULL, 6));
}

static int record_dot_of_both(Run *run) {
    Index w[] = {0, run->parameters[1], 0, run->parameters[2]}, x[] = {0, 0, run->parameters[3], run->parameters[4]};
    double ws[] = {2, 0, 3, 0}, xs[] = {4, 5, 0, 0};
    return kept(run, tape_dot(&run->tape, 0, 1.5, w, ws, x, xs, 4));
}

static int record_sum(Run *run) {
    Index x[] = {0, run->parameters[1], 0, run->parameters[2]};
    double xs[] = {2, 0, 3, 0};
    return kept(run, tape_sum(&run->tape, 0, 1.5, x, xs, 4));
}

// the run's hold is not counted from now on
static int watch_last(Run *run) {
    if (tape_watch(&run->tape, last(run)) < 0) return -1;
    run->holds[last(run)]--;
    return 0;
}

static int record_user_node(Run *run) {
    if (kept(run, tape_user(&run->tape, 4.0, run->parameters, NULL, 4)) < 0) return -1;
    tape_set_function(&run->tape, last(run), 1);
    if (watch_last(run) == 0) return 0;
    drop(run, run->n - 1);
    return -1;
}

static int record_linear(Run *run) {
    static const double slopes[] = {0.5, -2.0, 3.0};
    return kept(run, tape_user(&run->tape, 1.5, run->parameters, slopes, 3));
}

// a watched node is used for a moment: then it is on the list, and out of memory it is not
static int lose_user(Run *run) {
    Tape *tape = &run->tape;
    size_t listed = tape->nunused;
    Index x = last(run), user = tape_unary(tape, OP_TANH, x);
    CHECK(tape->nunused == listed && tape->nodes[x].refs == (user != 0));
    if (!user) return -1;
    tape_hold(tape, user);
    tape_release(tape, user);
    CHECK(tape->nunused == listed + 1 && tape->unused[listed] == x && tape->nodes[x].refs == 1);
    return 0;
}

// a node on the list gets a user again
static int use_unused(Run *run) {
    Tape *tape = &run->tape;
    Index x = tape->unused[tape->nunused - 1];
    return kept(run, tape_binary(tape, OP_ADD, x, run->parameters[0]));
}

// so it is not handed out
static int take_none(Run *run) {
    CHECK(run->tape.nunused > 0 && tape_unused(&run->tape) == 0 && run->tape.nunused == 0);
    return 0;
}

static int let_unused_go(Run *run) {
    CHECK(run->tape.nunused > 0);
    for (Index i; (i = tape_unused(&run->tape));) {
        size_t at = 0;
        while (run->handles[at] != i) at++;
        CHECK(run->tape.nodes[i].refs == 0);
        drop(run, at);
    }
    return 0;
}

// tape_backward refuses the function, and stops after the walk
static int walk_to_user_node(Run *run) {
    Tape *tape = &run->tape;
    Index user = last(run), out = tape_binary(tape, OP_MUL, user, run->parameters[5]), order[16];
    if (kept(run, out) < 0) return -1;
    size_t n = tape_walk(tape, out, 0);
    if (n == 0 || tape_backward(tape, out) == 0 || tape->fault.code != FAULT_USER) {
        drop(run, run->n - 1);
        return -1;
    }
    memcpy(order, tape->order, n * sizeof(Index));
    tape->grad[out] = 1.0;
    ptrdiff_t at = tape_backward_until(tape, order, (ptrdiff_t)n);
    CHECK(n == 11 && order[at] == user && tape_backward_until(tape, order, at) == -1);
    return 0;
}

static int record_softmax(Run *run) {
    Index out[4];
    return kept_all(run, softmax(&run->tape, run->parameters, 4, out), out, 4);
}

static int record_cross_entropy(Run *run) {
    return kept(run, cross_entropy(&run->tape, run->parameters, 4, 2));
}

static int call_network(Run *run) {
    MLP mlp = network(run);
    Index none[INPUTS] = {0}, out[OUTPUTS];
    double numbers[INPUTS] = {0.5, -1.5};
    return kept_all(run, mlp_call(&run->tape, &mlp, none, numbers, out), out, OUTPUTS);
}

// the inputs are nodes: leaves that stand in several points, or also one that is computed
static int record_loss_of_nodes(Run *run, Index one) {
    MLP mlp = network(run);
    Index x[POINTS * INPUTS];
    double numbers[POINTS * INPUTS] = {0.25};
    int32_t labels[POINTS] = {1};
    for (int i = 1; i < POINTS * INPUTS; i++) x[i] = run->inputs[i % 3];
    x[0] = one;
    return kept(run, mean_cross_entropy(&run->tape, &mlp, x, numbers, labels, POINTS));
}

static int make_inputs(Run *run) {
    Index x[3];
    for (int i = 0; i < 3; i++) {
        x[i] = tape_leaf(&run->tape, 0.5 * i - 0.25);
        if (x[i]) continue;
        while (i > 0) tape_discard(&run->tape, x[--i]);
        return -1;
    }
    memcpy(run->inputs, x, sizeof x);
    return kept_all(run, 0, x, 3);
}

static int record_loss_of_leaves(Run *run) {
    return record_loss_of_nodes(run, 0);
}

static int record_loss_of_results(Run *run) {
    return record_loss_of_nodes(run, last(run));
}

static Index record_loss_or_number(Run *run, int is_recorded) {
    MLP mlp = network(run);
    static const Index none[POINTS * INPUTS];
    double numbers[POINTS * INPUTS];
    int32_t labels[POINTS];
    for (int i = 0; i < POINTS * INPUTS; i++) numbers[i] = (i * 7 % 11) * 0.25 - 1;
    for (int i = 0; i < POINTS; i++) labels[i] = i % OUTPUTS;
    return is_recorded ? mean_cross_entropy(&run->tape, &mlp, none, numbers, labels, POINTS)
                       : mean_cross_entropy_evaluate(&run->tape, &mlp, none, numbers, labels, POINTS);
}

static int record_loss(Run *run) {
    return kept(run, record_loss_or_number(run, 1));
}

static int evaluate_network(Run *run) {
    MLP mlp = network(run);
    Index x[INPUTS] = {run->parameters[0], 0}, out[OUTPUTS];
    double numbers[INPUTS] = {0.0, -1.5};
    return kept_all(run, mlp_evaluate(&run->tape, &mlp, x, numbers, out), out, OUTPUTS);
}

static int evaluate_accuracy(Run *run) {
    MLP mlp = network(run);
    Index x[2 * INPUTS] = {run->parameters[0]};
    double numbers[2 * INPUTS] = {0}, share = 0.0;
    int32_t labels[2] = {0, 1};
    if (accuracy(&run->tape, &mlp, x, numbers, labels, 2, &share) < 0) return -1;
    CHECK(share == 0.0 || share == 0.5 || share == 1.0);
    return 0;
}

static int evaluate_softmax(Run *run) {
    Index out[4];
    return kept_all(run, softmax_evaluate(&run->tape, run->parameters, 4, out), out, 4);
}

static int evaluate_dot(Run *run) {
    return kept(run, dot_evaluate(&run->tape, 0, 1.0, run->parameters, NULL, run->parameters + 3, NULL, 3));
}

static int evaluate_sum(Run *run) {
    return kept(run, sum_evaluate(&run->tape, 0, 1.0, run->parameters, NULL, 3));
}

static int evaluate_cross_entropy(Run *run) {
    return kept(run, cross_entropy_evaluate(&run->tape, run->parameters, 3, 1));
}

static int evaluate_loss(Run *run) {
    return kept(run, record_loss_or_number(run, 0));
}

// -log(softmax(w @ take(table, i))[j]) * x
static int record_choices(Run *run) {
    Tape *tape = &run->tape;
    Index logits[3], denom;
    for (int k = 0; k < 2; k++) {
        run->takes[k] = tape_unary(tape, OP_TAKE, run->parameters[k]);
        if (run->takes[k]) continue;
        if (k > 0) tape_discard(tape, run->takes[0]);
        return -1;
    }
    for (int k = 0; k < 2; k++) tape_hold(tape, run->takes[k]);
    Index out = 0;
    if (linear(tape, run->takes, NULL, 2, run->parameters + 6, NULL, 3, logits) == 0
        && exponentials(tape, logits, 3, run->exps, &denom) == 0) {
        run->takes[2] = tape_unary(tape, OP_TAKE, run->exps[0]);
        if (!run->takes[2]) tape_discard(tape, denom);
        Index p = run->takes[2] ? tape_div(tape, run->takes[2], denom) : 0;
        out = p ? tape_unary(tape, OP_LOG, p) : 0;
        out = out ? tape_binary(tape, OP_MUL, tape_neg(tape, out), run->inputs[0]) : 0;
    }
    int result = kept(run, out);
    for (int k = 0; k < 2; k++) tape_release(tape, run->takes[k]);
    return result;
}

static void count_holds(Run *run, int n) {
    const Recording *recording = &run->recording;
    Index *holds = run->holds;
    holds[recording->root] += (Index)n;
    for (size_t k = 0; k < recording->noutputs; k++) holds[recording->outputs[k]] += (Index)n;
    for (size_t k = 0; k < recording->ninputs; k++) holds[recording->inputs[k]] += (Index)n;
    for (size_t c = 0; c < recording->nchoices; c++) {
        const Choice *choice = &recording->choices[c];
        for (Index k = 0; k < choice->width; k++) holds[choice->takes[k]] += (Index)n;
        for (Index k = 0; k < choice->width * choice->n; k++) holds[choice->items[k]] += (Index)n;
    }
}

static int start_recording(Run *run) {
    Tape *tape = &run->tape;
    Recording *recording = &run->recording;
    Index out = last(run);
    if (recording_start(tape, recording, &out, 1, run->inputs, 1) == 0
        && recording_choice(tape, recording, 0, run->takes, 2, run->parameters, 3) == 0
        && recording_choice(tape, recording, 1, run->takes + 2, 1, run->exps, 3) == 0
        && recording_end(tape, recording) == 0) {
        CHECK(failed || tape_replay(tape, out));
        count_holds(run, 1);
        return 0;
    }
    recording_free(tape, recording);
    return -1;
}

// the same with outputs and items that the first output is not above
static int start_other_recording(Run *run) {
    Tape *tape = &run->tape;
    Recording *recording = &run->recording;
    Index outputs[] = {run->takes[2], last(run)};
    if (recording_start(tape, recording, outputs, 2, run->inputs, 1) == 0
        && recording_choice(tape, recording, 0, run->takes, 2, run->parameters, 3) == 0
        && recording_choice(tape, recording, 1, run->takes + 2, 1, run->exps, 3) == 0
        && recording_end(tape, recording) == 0) {
        CHECK(tape->nodes[recording->root].op == OP_LIST);
        count_holds(run, 1);
        return 0;
    }
    recording_free(tape, recording);
    return -1;
}

static int call_recording(Run *run) {
    double x = 0.25 * run->calls + 0.5;
    int64_t integers[] = {(run->calls + 1) % 3, (2 * run->calls + 1) % 3};
    CHECK(recording_set(&run->tape, &run->recording, &x, integers) == 0);
    if (recording_forward(&run->tape, &run->recording) < 0) {
        recording_undo(&run->tape, &run->recording);
        return -1;
    }
    run->calls++;
    return 0;
}

static int free_recording(Run *run) {
    count_holds(run, -1);
    recording_free(&run->tape, &run->recording);
    return 0;
}

static int backward(Run *run) {
    return tape_backward(&run->tape, last(run));
}

static int forward(Run *run) {
    return tape_forward(&run->tape, last(run));
}

static int optimise(Run *run) {
    if (adamw_step(&run->tape, &run->adamw, run->parameters, PARAMETERS) < 0) return -1;
    sgd_step(&run->tape, 0.01, run->parameters, PARAMETERS);
    CHECK(sgd_momentum_step(&run->tape, 0.01, 0.9, run->parameters, PARAMETERS) == 0);
    zero_grad(&run->tape, run->parameters, PARAMETERS);
    return 0;
}

static int drop_last(Run *run) {
    drop(run, run->n - 1);
    return 0;
}

static int drop_some(Run *run) {  // holes in the arena
    for (size_t at = PARAMETERS + 3; at < run->n; at += 2) drop(run, at);
    return 0;
}

// so many roots whose orders are kept that their table has to grow
static int record_root(Run *run) {
    return kept(run,
                tape_unary(&run->tape, OP_TANH,
                           tape_binary(&run->tape, OP_MUL, run->parameters[run->n % PARAMETERS], run->parameters[0])));
}

// then the table shrinks, if there is memory for a smaller one
static int drop_roots(Run *run) {
    CHECK(run->tape.buckets == 32);
    for (int i = 0; i < ROOTS; i++) drop(run, run->n - 1);
    CHECK(run->tape.buckets == 16 || failed);
    return 0;
}

typedef int (*Step)(Run *);

static const Step scenario[] = {
    make_parameters,
    make_inputs,
    record_choices,
    start_recording,
    call_recording,
    backward,
    call_recording,
    call_recording,
    backward,
    forward,
    backward,
    free_recording,
    start_other_recording,
    call_recording,
    call_recording,
    backward,
    free_recording,
    drop_last,
    record_operations,
    backward,
    forward,
    forward,
    backward,
    record_sum,
    record_dot_of_nodes,
    forward,
    forward,
    forward,
    backward,
    backward,
    record_dot_of_both,
    record_user_node,
    walk_to_user_node,
    record_linear,
    backward,
    watch_last,
    lose_user,
    use_unused,
    take_none,
    backward,
    drop_last,
    let_unused_go,
    record_linear,
    watch_last,
    lose_user,
    record_dot_of_nodes,
    forward,
    watch_last,
    lose_user,
    record_sum,
    watch_last,
    use_unused,
    forward,
    drop_last,
    let_unused_go,
    record_softmax,
    backward,
    forward,
    record_cross_entropy,
    call_network,
    backward,
    forward,
    backward,
    make_moments,
    record_loss,
    backward,
    optimise,
    forward,
    backward,
    optimise,
    forward,
    backward,
    optimise,
    forward,
    forward,
    backward,
    evaluate_network,
    evaluate_softmax,
    evaluate_dot,
    evaluate_sum,
    evaluate_cross_entropy,
    evaluate_accuracy,
    evaluate_loss,
    record_loss_of_leaves,
    backward,
    forward,
    forward,
    backward,
    record_loss_of_results,
    backward,
    optimise,
    drop_some,
    record_loss,
    forward,
    backward,
    optimise,
    drop_last,
    record_loss,
    record_loss,
    drop_last,
    forward,
    forward,
    forward,
    backward,
    optimise,
    backward,
};
enum { STEPS = sizeof scenario / sizeof *scenario };

static Step step_at(int i) {
    if (i < STEPS) return scenario[i];
    if (i == STEPS + 3 * ROOTS) return drop_roots;
    return (Step[]){record_root, forward, forward}[(i - STEPS) % 3];
}

// -----------------------------------------------------------------------------
// checked after each step

static void see(Run *run, double x) {
    memcpy(&run->seen[run->nseen++], &x, sizeof x);
}

// all numbers that the run's owner can see
static void see_all(Run *run) {
    for (size_t i = 0; i < run->n; i++) {
        see(run, *tape_data(&run->tape, run->handles[i]));
        see(run, *tape_grad(&run->tape, run->handles[i]));
    }
    for (size_t i = 0; i < PARAMETERS && run->has_moments; i++) {
        Index moments = tape_moments(&run->tape, run->parameters[i]);
        see(run, run->tape.data[moments]);
        see(run, run->tape.grad[moments]);
    }
}

// moments that came before the memory ended stay with their leaf, and are 0
static Index moments_of(const Run *run) {
    Index n = 0;
    for (size_t i = 0; i < PARAMETERS && run->n; i++) n += run->tape.nodes[run->parameters[i]].a != 0;
    return n;
}

static int try_step(Run *run, Step step) {
    Tape *tape = &run->tape;
    Index capacity = tape->used + run->slack - 1;
    if (run->slack && capacity < tape->capacity && capacity > 0) {
        // so few fresh places that somewhere in the step the arena has to grow, and the
        // room for walks with it
        arena_resize(tape, capacity);
        free(tape->order);
        free(tape->saved);
        tape->order = NULL;
        tape->saved = NULL;
        tape->room = 0;
    }
    is_armed = 1;
    int result = step(run);
    is_armed = 0;
    return result;
}

// the whole scenario; the n-th allocation fails, and where `all`, all after it in its step.
// Returns whether one did.
static int run_scenario(Run *run, int steps, int looks, Index slack, long nth, int all) {
    *run = (Run){.seen = run->seen, .slack = slack};
    tape_init(&run->tape);
    long before = outstanding;
    allocations = failed = 0;
    first_fails = nth;
    last_fails = all ? LONG_MAX : nth;
    int look_until = steps;  // after every step of the first run, and after a failure for a while
    if (nth < LONG_MAX) look_until = 0;
    for (int i = 0; i < steps; i++) {
        step_now = i;
        Index live = run->tape.live - moments_of(run);
        size_t held = run->n, nseen = run->nseen;
        long already = failed;
        if (looks) see_all(run);
        int result = try_step(run, step_at(i));
        if (failed > already) {
            last_fails = -1;  // from here on there is memory again
            look_until = i + 5;
        }
        if (i < look_until) CHECK(tape_is_whole(&run->tape, run->holds));
        if (result < 0) {
            CHECK(failed > already && run->tape.fault.code == FAULT_MEMORY);
            CHECK(run->n == held && run->tape.live - moments_of(run) == live);
            if (looks) {
                size_t n = run->nseen - nseen;
                see_all(run);
                CHECK(!memcmp(run->seen + nseen, run->seen + nseen + n, n * sizeof *run->seen));
            }
            run->nseen = nseen;
            CHECK(try_step(run, step_at(i)) == 0);
            CHECK(tape_is_whole(&run->tape, run->holds));
        }
        run->nseen = nseen;
        if (looks) see_all(run);
    }
    step_now = -1;
    see_all(run);
    while (run->n) drop(run, run->n - 1);
    CHECK(tape_unused(&run->tape) == 0);  // frees nodes that were unwatched while they were on the list
    CHECK(tape_is_whole(&run->tape, run->holds));
    CHECK(run->tape.live == 0 && run->tape.watched == 0 && run->tape.scheduled == 0 && run->tape.kept == 0
          && !run->tape.held);
    tape_free(&run->tape);
    CHECK(outstanding == before);
    return failed > 0;
}

static long compare_runs(int looks, Index slack) {
    int steps = STEPS + 3 * ROOTS + 1;
    long runs = 0;
    run_scenario(&first, steps, looks, slack, LONG_MAX, 0);
    for (int all = 0; all <= 1; all++) {
        for (long nth = 0; run_scenario(&again, steps, looks, slack, nth, all); nth++) {
            CHECK(again.nseen == first.nseen);
            CHECK(!memcmp(again.seen, first.seen, first.nseen * sizeof *first.seen));
            runs++;
        }
    }
    return runs;
}

// an arena so large that it gives memory back; without memory for that it stays as it was
static long trim(void) {
    enum { DEPTH = 1 << 20 };
    long nth = 0;
    for (failed = 1; failed; nth++) {
        Tape tape;
        tape_init(&tape);
        long before = outstanding;
        allocations = failed = 0;
        first_fails = last_fails = nth;
        is_armed = 1;
        Index x = 0, y = 0;
        while (!x) x = tape_leaf(&tape, 1.0);
        tape_hold(&tape, x);
        tape_hold(&tape, y = x);
        Index middle = 0;
        for (int i = 0; i < DEPTH; i++) {
            Index next = 0;
            while (!next) next = tape_binary(&tape, OP_ADD, y, x);
            tape_hold(&tape, next);
            tape_release(&tape, y);
            y = next;
            while (i == 1000 && !middle) middle = tape_leaf(&tape, 1.0);
        }
        tape_hold(&tape, middle);
        while (tape_backward(&tape, y) < 0) CHECK(tape.grad[x] == 0);
        CHECK(tape.grad[x] == DEPTH + 1);
        tape_release(&tape, y);
        is_armed = 0;
        CHECK(tape.live == 2 && tape.used == middle && tape_is_whole(&tape, NULL));
        y = tape_binary(&tape, OP_ADD, x, x);
        CHECK(y && tape.data[y] == 2.0);
        tape_free(&tape);
        CHECK(outstanding == before);
    }
    return nth - 1;
}

int main(int argc, char **argv) {
    Index most = argc > 1 ? (Index)atoi(argv[1]) : 24;
    long runs = 0;
    for (int looks = 0; looks <= 1; looks++) {
        for (Index slack = 0; slack <= most; slack += 1 + slack / 4) runs += compare_runs(looks, slack);
    }
    runs += trim();
    printf("%ld failed allocations, ", runs);
    return check_report();
}

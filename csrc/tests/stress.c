// The library keeps its state in its arguments and has no globals: `make -C csrc tsan`.
//
//     stress [threads [rounds]]
//
// Several threads at once, each with a tape, a generator, a network and an optimiser of its
// own, do all that the library can. Each round must give, bit for bit, the numbers that it
// gave in one thread before the others started, and leave the tape whole; the thread sanitizer
// reports anything that two of them share.

#define _DEFAULT_SOURCE  // for fork
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif
#include "tape.h"
#include "invariants.h"

enum { MOST_THREADS = 64, PROGRAMS = 5, WEIGHTS = 4 * 3 + 3 * 5, POINTS = 20 };

static atomic_int failures;

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition) && atomic_fetch_add(&failures, 1) < 20) {                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                           \
    } while (0)

// what a thread has; the numbers that it sees go into one hash
typedef struct Worker {
    pthread_t thread;
    int number;
    Tape tape;
    RNG rng;
    uint64_t hash;
    long results;    // how many numbers were seen
    Index parameters[WEIGHTS], loss, mean;  // a network whose recording all rounds go over again
    AdamW adamw;
    Index live;      // nodes between the rounds
} Worker;

static void see(Worker *worker, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    worker->hash = (worker->hash ^ bits) * 0x100000001b3u;
    worker->results++;
}

static void see_node(Worker *worker, Index i) {
    see(worker, *tape_data(&worker->tape, i));
    see(worker, *tape_grad(&worker->tape, i));
}

static Index held(Worker *worker, Index i) {
    CHECK(i != 0);
    tape_hold(&worker->tape, i);
    return i;
}

static Index leaf(Worker *worker) {
    return held(worker, tape_leaf(&worker->tape, rng_uniform(&worker->rng, -1, 1)));
}

static void release(Worker *worker, Index *nodes, size_t n) {
    for (size_t i = 0; i < n; i++) tape_release(&worker->tape, nodes[i]);
}

static int below(Worker *worker, int n) {
    return (int)(rng_random_u32(&worker->rng) % (uint32_t)n);
}

// -----------------------------------------------------------------------------
// what a thread does

// all operations, and passes over them; some have no value or no slope, which is a fault of
// this tape's own
static void operations(Worker *worker) {
    enum { NODES = 40 };
    Tape *tape = &worker->tape;
    Index nodes[NODES] = {leaf(worker), leaf(worker), leaf(worker)}, some[3];
    for (int n = 3; n < NODES; n++) {
        Index a = nodes[below(worker, n)], b = nodes[below(worker, n)], i = 0;
        for (int k = 0; k < 3; k++) some[k] = nodes[below(worker, n)];
        tape->fault = (Fault){0};
        switch (below(worker, 10)) {
        case 0: i = tape_binary(tape, OP_ADD, a, b); break;
        case 1: i = tape_binary(tape, OP_MUL, a, b); break;
        case 2: i = tape_binary(tape, OP_POWER, a, b); break;
        case 3: i = tape_pow(tape, a, 3.0, 1); break;
        case 4: i = tape_sub(tape, a, b); break;
        case 5: i = tape_div(tape, a, b); break;
        case 6: i = tape_dot(tape, a, 0.0, some, NULL, nodes, NULL, 3); break;
        case 7: i = tape_sum(tape, 0, 0.5, some, NULL, 3); break;
        default: i = tape_unary(tape, (Op)(OP_RELU + below(worker, OP_USER - OP_RELU)), a);
        }
        CHECK((i == 0) == (tape->fault.code != FAULT_NONE));
        see(worker, tape->fault.code + tape->fault.op);
        nodes[n] = i ? held(worker, i) : leaf(worker);
    }
    for (int k = 0; k < 12; k++) {
        Index root = nodes[NODES - 1 - k / 2];
        see(worker, tape_forward(tape, root));
        see(worker, tape_backward(tape, root));
        for (int i = 0; i < NODES && k % 4 == 3; i++) see_node(worker, nodes[i]);
        *tape_data(tape, nodes[k % 3]) = rng_uniform(&worker->rng, -1, 1);
        see(worker, node_backward(tape, nodes[below(worker, NODES)]));
    }
    release(worker, nodes, NODES);
}

static const uint32_t sizes[] = {2, 4, 3};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};

static void make_points(Worker *worker, double *numbers, int32_t *labels) {
    Point points[POINTS];
    switch (below(worker, 3)) {
    case 0: gen_data(&worker->rng, points, POINTS); break;
    case 1: gen_data_circles(&worker->rng, points, POINTS); break;
    case 2: gen_data_yinyang(&worker->rng, points, POINTS, 0.1, 0.5); break;
    }
    for (int i = 0; i < POINTS; i++) {
        memcpy(numbers + 2 * i, points[i].x, sizeof points[i].x);
        labels[i] = points[i].label;
    }
}

// a network, with a graph in each step or with one recording, and without a graph
static void train(Worker *worker) {
    Tape *tape = &worker->tape;
    Index parameters[WEIGHTS], none[2 * POINTS] = {0}, out[3], p[3], loss = 0;
    MLP mlp = {2, sizes, activations, parameters};
    double numbers[2 * POINTS];
    int32_t labels[POINTS];
    make_points(worker, numbers, labels);
    CHECK(mlp_init(tape, &mlp, &worker->rng) == 0 && adam_init(tape, parameters, WEIGHTS) == 0);
    AdamW adamw = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 1e-4};
    for (int step = 0; step < 8; step++) {
        if (step < 4) {
            if (loss) tape_release(tape, loss);
            loss = held(worker, mean_cross_entropy(tape, &mlp, none, numbers, labels, POINTS));
        } else {
            CHECK(tape_forward(tape, loss) == 0);
        }
        CHECK(tape_backward(tape, loss) == 0);
        if (step % 2) sgd_step(tape, 0.05, parameters, WEIGHTS);
        CHECK(adamw_step(tape, &adamw, parameters, WEIGHTS) == 0);
        zero_grad(tape, parameters, WEIGHTS);
        see_node(worker, loss);
    }
    CHECK(mlp_call(tape, &mlp, none, numbers, out) == 0 && softmax(tape, out, 3, p) == 0);
    for (int i = 0; i < 3; i++) held(worker, p[i]);
    Index cross = held(worker, cross_entropy(tape, out, 3, 1));
    CHECK(tape_backward(tape, cross) == 0 && tape_backward(tape, p[2]) == 0);
    // the same numbers without a graph
    Index number = held(worker, mean_cross_entropy_evaluate(tape, &mlp, none, numbers, labels, POINTS));
    CHECK(tape_forward(tape, loss) == 0 && *tape_data(tape, loss) == tape->data[number]);
    Index logits[3], ps[3];
    CHECK(mlp_evaluate(tape, &mlp, none, numbers, logits) == 0 && softmax_evaluate(tape, logits, 3, ps) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(tape->data[ps[i]] == tape->data[p[i]]);
        see(worker, tape->data[ps[i]]);
        tape_discard(tape, logits[i]);
        tape_discard(tape, ps[i]);
    }
    for (int i = 0; i < WEIGHTS; i++) see_node(worker, parameters[i]);
    release(worker, p, 3);
    release(worker, (Index[]){cross, number, loss}, 3);
    release(worker, parameters, WEIGHTS);
    char text[32];
    number_repr(numbers[0], text);
    CHECK(strtod(text, NULL) == numbers[0]);
}

// nodes with functions and slopes, by tape_backward_until and tape_forward_until
static void user_nodes(Worker *worker) {
    static const double slopes[] = {0.1, -0.7, 3.0};
    Tape *tape = &worker->tape;
    Index x[] = {leaf(worker), leaf(worker), leaf(worker)}, order[12];
    Index user = held(worker, tape_user(tape, 6.0, x, NULL, 3));
    Index linear = held(worker, tape_user(tape, 2.0, (Index[]){x[0], user, x[0]}, slopes, 3));
    Index root = held(worker, tape_binary(tape, OP_MUL, linear, tape_leaf(tape, 2.0)));
    tape_set_function(tape, user, 1);
    CHECK(tape_backward(tape, root) == -1 && tape->fault.code == FAULT_USER);
    CHECK(tape_forward(tape, root) == -1 && tape->fault.code == FAULT_USER);
    size_t n = tape_walk(tape, linear, 0);
    CHECK(n == 11 && tape_walk(tape, root, 0) == 13);
    CHECK(tape_walk(tape, user, 1) == 7 && tape_walk(tape, linear, 1) == n);
    memcpy(order, tape->order, n * sizeof *order);
    tape->grad[linear] = 2.0;
    ptrdiff_t at = tape_backward_until(tape, order, (ptrdiff_t)n);
    CHECK(at >= 0 && order[at] == user && tape_backward_until(tape, order, at) == -1);
    CHECK(order[tape_forward_until(tape, order, 0, (ptrdiff_t)n)] == user);
    tape_set_function(tape, user, 0);
    CHECK(tape_backward(tape, root) == 0);
    for (int i = 0; i < 3; i++) see_node(worker, x[i]);
    see_node(worker, user);
    release(worker, (Index[]){root, linear, user}, 3);
    release(worker, x, 3);
}

// watched nodes: some are used again, some are unwatched before tape_unused returns them, some after
static void watched_nodes(Worker *worker) {
    enum { NODES = 200 };
    Tape *tape = &worker->tape;
    Index already = tape->watched;
    Index nodes[NODES] = {leaf(worker)}, y = nodes[0], x = nodes[0], handed;
    for (int i = 1; i < NODES; i++) {
        nodes[i] = held(worker, tape_binary(tape, OP_ADD, y, i % 3 ? x : nodes[below(worker, i)]));
        CHECK(tape_watch(tape, nodes[i]) == 0);
        y = nodes[i];
    }
    CHECK(tape_forward(tape, y) == 0 && tape_forward(tape, y) == 0 && tape_backward(tape, y) == 0);
    see_node(worker, y);
    see_node(worker, x);
    for (int i = 1; i < NODES - 1; i += 2) tape_unwatch(tape, nodes[i]);
    tape_unwatch(tape, y);
    while ((handed = tape_unused(tape))) {
        see(worker, handed);
        if (below(worker, 2)) {
            tape_release(tape, held(worker, tape_neg(tape, handed)));
        } else {
            tape_unwatch(tape, handed);
        }
    }
    CHECK(tape->watched == already && tape->nunused == 0);
    tape_release(tape, x);
}

// an arena that grows and shrinks
static void deep(Worker *worker) {
    enum { DEPTH = 3000 };
    Tape *tape = &worker->tape;
    Index x = leaf(worker), y = x;
    for (int i = 0; i < DEPTH; i++) y = tape_binary(tape, OP_ADD, y, x);
    held(worker, y);
    CHECK(tape_backward(tape, y) == 0 && tape->grad[x] == DEPTH + 1);
    see_node(worker, y);
    tape->trim_below = tape->live;  // as if it were a thousand times as large
    tape_release(tape, y);
    CHECK(tape->capacity < DEPTH);
    tape_release(tape, x);
}

// a recording whose inputs change: a row of a table, a target, and a number
static void recorded_function(Worker *worker) {
    enum { ROWS_OF_TABLE = 3, WIDTH = 2 };
    Tape *tape = &worker->tape;
    Index table[ROWS_OF_TABLE * WIDTH], takes[WIDTH], logits[3], ex[3], denom, x = leaf(worker);
    for (int k = 0; k < ROWS_OF_TABLE * WIDTH; k++) table[k] = leaf(worker);
    for (int k = 0; k < WIDTH; k++) takes[k] = tape_unary(tape, OP_TAKE, table[k]);
    CHECK(linear(tape, takes, NULL, WIDTH, table, NULL, 3, logits) == 0);
    CHECK(exponentials(tape, logits, 3, ex, &denom) == 0);
    Index chosen = tape_unary(tape, OP_TAKE, ex[0]);
    Index loss = tape_neg(tape, tape_unary(tape, OP_LOG, tape_div(tape, chosen, denom)));
    Index out = held(worker, tape_binary(tape, OP_MUL, loss, tape_unary(tape, OP_TANH, x)));
    Recording recording;
    CHECK(recording_start(tape, &recording, &out, 1, &x, 1) == 0);
    CHECK(recording_choice(tape, &recording, 0, takes, WIDTH, table, ROWS_OF_TABLE) == 0);
    CHECK(recording_choice(tape, &recording, 1, &chosen, 1, ex, 3) == 0 && recording_end(tape, &recording) == 0);
    CHECK(tape_replay(tape, out));
    for (int call = 0; call < 10; call++) {
        double number = rng_uniform(&worker->rng, -1, 1);
        int64_t integers[] = {below(worker, ROWS_OF_TABLE + (call == 5)), below(worker, 3)};
        int result = recording_set(tape, &recording, &number, integers);
        see(worker, result);
        if (result == 0) CHECK(recording_forward(tape, &recording) == 0 && tape_backward(tape, out) == 0);
        see_node(worker, out);
        if (call % 3 == 0) see_node(worker, ex[1]);
    }
    for (int k = 0; k < ROWS_OF_TABLE * WIDTH; k++) see_node(worker, table[k]);
    recording_free(tape, &recording);
    release(worker, table, ROWS_OF_TABLE * WIDTH);
    release(worker, (Index[]){x, out}, 2);
}

// a recording that is kept from round to round; its parameters and the mean in it are watched
static void start_training(Worker *worker) {
    Tape *tape = &worker->tape;
    MLP mlp = {2, sizes, activations, worker->parameters};
    Index none[2 * POINTS] = {0};
    double numbers[2 * POINTS];
    int32_t labels[POINTS];
    make_points(worker, numbers, labels);
    CHECK(mlp_init(tape, &mlp, &worker->rng) == 0 && adam_init(tape, worker->parameters, WEIGHTS) == 0);
    worker->adamw = (AdamW){.lr = 0.02, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
    worker->loss = held(worker, mean_cross_entropy(tape, &mlp, none, numbers, labels, POINTS));
    worker->mean = held(worker, tape->nodes[worker->loss].a);
    CHECK(tape_watch(tape, worker->mean) == 0);
    for (int i = 0; i < WEIGHTS; i++) CHECK(tape_watch(tape, worker->parameters[i]) == 0);
    worker->live = tape->live;
}

static void go_on_training(Worker *worker) {
    Tape *tape = &worker->tape;
    for (int step = 0; step < 4; step++) {
        CHECK(tape_forward(tape, worker->loss) == 0 && tape_backward(tape, worker->loss) == 0);
        CHECK(adamw_step(tape, &worker->adamw, worker->parameters, WEIGHTS) == 0);
        zero_grad(tape, worker->parameters, WEIGHTS);
        see(worker, *tape_data(tape, worker->loss));
    }
    see_node(worker, worker->mean);
    CHECK(tape_forward(tape, worker->loss) == 0
          && tape->held);  // so the next round, or a child, starts with a replay that holds numbers
}

static void end_training(Worker *worker) {
    Tape *tape = &worker->tape;
    tape_release(tape, worker->loss);
    CHECK(tape_unused(tape) == worker->mean && tape_unused(tape) == 0);
    tape_unwatch(tape, worker->mean);
    for (Index i, n = 0; (i = tape_unused(tape)) || n < WEIGHTS; n++) {
        CHECK(i > 0 && n < WEIGHTS);
        if (i) tape_unwatch(tape, i);
    }
    CHECK(tape->live == 0 && tape->watched == 0 && tape->scheduled == 0 && !tape->held);
    tape_free(tape);
}

// one round; the next goes on with the tape that it leaves
static void run_round(Worker *worker) {
    void (*const parts[])(Worker *) = {operations,        train,         user_nodes, watched_nodes, deep,
                                       recorded_function, go_on_training};
    enum { PARTS = sizeof parts / sizeof *parts };
    for (int k = 0, first = below(worker, PARTS); k < PARTS; k++) parts[(first + k) % PARTS](worker);
    CHECK(worker->tape.live == worker->live && worker->tape.scheduled == 1);
    CHECK(tape_is_whole(&worker->tape, NULL));
}

// -----------------------------------------------------------------------------
// programs: each is so many rounds from a seed

static int rounds = 15;
static uint64_t *expected;  // by program and round: the hash after it
static int children;

static void program_start(Worker *worker, int program) {
    tape_init(&worker->tape);
    rng_init(&worker->rng, (uint64_t)program + 1);
    worker->hash = 0xcbf29ce484222325u;
    start_training(worker);
}

// A forked child continues with the tape, and must get the same numbers as the parent. Only while there
// is one thread: otherwise another thread may hold a lock of the allocator or of the sanitizer's
// run-time library at the fork, and the child waits for it for ever.
static void fork_child(Worker *worker, int program, int done) {
#ifndef _WIN32  // which has no fork
    pid_t child = fork();
    if (child == 0) {
        int before = atomic_load(&failures);
        alarm(120);
        for (int i = done; i < rounds && i < done + 2; i++) {
            run_round(worker);
            CHECK(worker->hash == expected[program * rounds + i]);
        }
        end_training(worker);
        _exit(atomic_load(&failures) != before);
    }
    int status = 1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    children++;
#else
    (void)worker, (void)program, (void)done;
#endif
}

static void *work(void *argument) {
    Worker *worker = argument;
    for (int k = 0; k < PROGRAMS; k++) {
        int program = (worker->number + 1 + k) % PROGRAMS;
        program_start(worker, program);
        for (int i = 0; i < rounds; i++) {
            if (i % 6 == 5 && worker->number < 0) fork_child(worker, program, i);
            run_round(worker);
            CHECK(worker->hash == expected[program * rounds + i]);
        }
        end_training(worker);
    }
    return NULL;
}

int main(int argc, char **argv) {
    static Worker workers[MOST_THREADS];
    int threads = argc > 1 ? atoi(argv[1]) : 8;
    if (argc > 2) rounds = atoi(argv[2]);
    if (threads < 1 || threads > MOST_THREADS || rounds < 1) {
        fprintf(stderr, "usage: stress [1 .. %d threads [rounds]]\n", MOST_THREADS);
        return 2;
    }
    expected = malloc((size_t)(PROGRAMS * rounds) * sizeof *expected);
    for (int program = 0; program < PROGRAMS; program++) {
        Worker alone = {0};
        program_start(&alone, program);
        for (int i = 0; i < rounds; i++) {
            run_round(&alone);
            expected[program * rounds + i] = alone.hash;
        }
        end_training(&alone);
    }
    work(&(Worker){.number = -1});  // alone: the same again, and children
    for (int i = 0; i < threads; i++) {
        workers[i] = (Worker){.number = i};
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    long results = 0;
    for (int i = 0; i < threads; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        results += workers[i].results;
    }
    free(expected);
    printf("%d threads, %d children, %ld numbers, %d failed\n", threads, children, results, atomic_load(&failures));
    return atomic_load(&failures) > 0;
}

// Threads that do all that Python can do with the shared tape, at once: `make -C csrc tsan`.
//
//     stress [threads [rounds]]
//
// The parameters that all share have integers for data, so their gradients add up to the
// same sum in any order.

#define _DEFAULT_SOURCE  // for fork
#include <pthread.h>
#include <stdatomic.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif
#define CHECK_SCHEDULES
#include "tape.c"
#include "check.h"
#include "shared.c"

enum { SHARED = 8, MOST_THREADS = 64, STEPS_A_CHAIN = 40 };

static atomic_int failures;

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            atomic_fetch_add(&failures, 1);                                              \
        }                                                                                \
    } while (0)

static Index shared_x[SHARED];      // parameters of all threads
static Index shared_root;           // a recording that all go over: 2 * dot(x, x)
static atomic_int watched, buried;  // nodes

typedef struct Worker {
    pthread_t thread;
    int number;
    RNG rng;
    long operations;
    double added[SHARED];    // to the gradients of shared_x
    double *slots;           // for numbers
} Worker;

// Python's clean_up: one thread at a time empties the list
static void cleaner(void) {
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&busy)) return;
    for (Index i; (i = shared_dead());) {
        atomic_fetch_add(&buried, 1);
        shared_bury(i);
    }
    atomic_flag_clear(&busy);
}

static Index replace(Index old, Index new) {
    CHECK(new != UINT32_MAX);
    shared_release(old);
    return new;
}

// -----------------------------------------------------------------------------
// what a thread may do

// y = y*x + 1, again and again, with x = 1: each step is one more
static void chain(Worker *worker) {
    Index x = shared_leaf(1.0), y = shared_leaf(0.0);
    for (int i = 0; i < STEPS_A_CHAIN; i++) {
        Index product = shared_binary(OP_MUL, y, x);
        y = replace(y, shared_binary_number(OP_ADD, product, 1.0));
        shared_release(product);
    }
    CHECK(shared_data(y) == (double)STEPS_A_CHAIN);
    CHECK(shared_backward(y) == 0);
    CHECK(shared_grad(x) == (STEPS_A_CHAIN - 1) * STEPS_A_CHAIN / 2);
    for (int i = 0; i < 3; i++) {
        CHECK(shared_set_data(x, i % 2) == 0 && shared_forward(y) == 0);
        CHECK(shared_data(y) == (i % 2 ? STEPS_A_CHAIN : 1));
    }
    shared_release(x);
    shared_release(y);
    worker->operations += 4 * STEPS_A_CHAIN;
}

static void add_gradients(Worker *worker) {
    double number = worker->number;
    double numbers[SHARED];
    Index none[SHARED] = {0};
    for (int i = 0; i < SHARED; i++) numbers[i] = number + i;
    Index root = shared_dot(0, 0.0, shared_x, NULL, none, numbers, SHARED);
    CHECK(root != UINT32_MAX && shared_backward(root) == 0);
    for (int i = 0; i < SHARED; i++) worker->added[i] += numbers[i];
    for (int k = 0; k < 3; k++) {
        CHECK(shared_forward(root) == 0 && shared_backward(root) == 0);
        for (int i = 0; i < SHARED; i++) worker->added[i] += numbers[i];
    }
    shared_release(root);
    worker->operations += 8;
}

// all go over one recording, and look into it; what backward adds depends on the others, so
// it is done to one whose gradients nobody asks for
static void use_shared_root(Worker *worker) {
    Index operands[2];
    CHECK(shared_forward(shared_root) == 0 && shared_data(shared_root) == 280);
    CHECK(shared_operands(shared_root, operands, 2) == 2);
    CHECK(shared_data(operands[0]) == 140 && shared_op(operands[0]) == OP_ADD);
    Index above = shared_binary(OP_MUL, operands[0], operands[1]);
    CHECK(shared_data(above) == 280);
    if (rng_random(&worker->rng) < 0.5) CHECK(shared_forward(operands[0]) == 0);
    shared_release(operands[0]);
    shared_release(operands[1]);
    shared_release(above);
    worker->operations += 9;
}

static const uint32_t sizes[] = {2, 4, 3};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};
enum { PARAMETERS = 4 * 3 + 3 * 5, EXAMPLES = 5 };

// a network of its own, by all the ways there are
static void train(Worker *worker) {
    Index parameters[PARAMETERS], inputs[2 * EXAMPLES] = {0}, out[3], p[3];
    MLP mlp = {2, sizes, activations, parameters};
    double numbers[2 * EXAMPLES];
    int32_t labels[EXAMPLES];
    RNG rng;
    rng_init(&rng, 7);
    for (int i = 0; i < PARAMETERS; i++) parameters[i] = shared_leaf(rng_uniform(&rng, -1, 1));
    for (int i = 0; i < 2 * EXAMPLES; i++) numbers[i] = rng_uniform(&rng, -1, 1);
    for (int i = 0; i < EXAMPLES; i++) labels[i] = i % 3;
    AdamW adamw = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
    CHECK(shared_adamw_init(parameters, PARAMETERS) == 0);
    Index loss = 0;
    for (int step = 0; step < 8; step++) {
        if (step < 3) {
            if (loss) shared_release(loss);
            loss = shared_mean_cross_entropy(&mlp, inputs, numbers, labels, EXAMPLES);
            CHECK(loss != UINT32_MAX);
        } else {
            CHECK(shared_forward(loss) == 0);
        }
        CHECK(shared_backward(loss) == 0);
        CHECK(shared_adamw_step(&adamw, parameters, PARAMETERS) == 0);
        CHECK(shared_zero_grad(parameters, PARAMETERS) == 0);
    }
    CHECK(shared_mlp_call(&mlp, inputs, numbers, out) == 0 && shared_softmax(out, 3, p) == 0);
    Index cross = shared_cross_entropy(out, 3, 1);
    CHECK(cross != UINT32_MAX && shared_backward(cross) == 0);
    int before = shared_recording(0);
    Index number = shared_mean_cross_entropy(&mlp, inputs, numbers, labels, EXAMPLES);
    shared_recording(before);
    double trained = shared_data(number);
    CHECK(shared_forward(loss) == 0 && shared_data(loss) == trained);
    if (worker->slots[0] == 0) worker->slots[0] = trained;  // the same each time, and in each thread
    CHECK(worker->slots[0] == trained);
    double m, v;
    CHECK(shared_moments(parameters[0], &m, &v) == 1 && v > 0);
    for (int i = 0; i < 3; i++) {
        shared_release(out[i]);
        shared_release(p[i]);
    }
    for (int i = 0; i < PARAMETERS; i++) shared_release(parameters[i]);
    shared_release(loss);
    shared_release(cross);
    shared_release(number);
    worker->operations += 100;
}

// nodes that only their owner can run, and clean up
static void user_nodes(Worker *worker) {
    Index x = shared_leaf(3.0), order[8];
    Index user = shared_user(6.0, (Index[]){x, x, shared_x[0]}, 3);
    CHECK(user != UINT32_MAX && shared_set_watched(user) == 0);
    atomic_fetch_add(&watched, 1);
    shared_set_function(user, 1);
    Index root = shared_binary_number(OP_MUL, user, 2.0);
    Fault fault_now;
    CHECK(shared_backward(root) == -1);
    shared_fault(&fault_now);
    CHECK(fault_now.code == FAULT_USER);
    size_t n = shared_walk(root, 0, order, 8);
    double data[8], grad[8];
    CHECK(n == 8);  // x, shared_x[0], three of a list, the user node, 2, root
    shared_get_all(order, n, data, grad);
    CHECK(shared_set_grad(root, 1.0) == 0);
    ptrdiff_t at = shared_backward_until(order, (ptrdiff_t)n);
    CHECK(at >= 0 && order[at] == user && shared_grad(user) == 2.0);
    CHECK(shared_backward_until(order, at) == -1);
    CHECK(shared_forward(root) == -1);
    shared_forget_gradients(order, n);
    CHECK(shared_grad(root) == 0.0);
    shared_release(root);
    shared_release(user);
    shared_release(x);
    worker->operations += 15;
}

// each thread has its own last fault, and its own no_grad
static void faults(Worker *worker) {
    double number = -1.0 - worker->number;
    Index x = shared_leaf(number);
    CHECK(shared_unary(OP_LOG, x) == UINT32_MAX);
    Fault fault_now;
    shared_fault(&fault_now);
    CHECK(fault_now.code == FAULT_FORWARD && fault_now.op == OP_LOG && fault_now.a == number);
    if (worker->number % 2) shared_recording(0);
    Index y = shared_neg(x);
    CHECK(shared_operands(y, (Index[2]){0}, 0) == (worker->number % 2 ? 0 : 2));
    shared_recording(1);
    shared_release(x);
    shared_release(y);
    worker->operations += 6;
}

// a child has the tape whole, whatever the other threads were doing in it
static void fork_child(Worker *worker) {
#ifndef _WIN32  // where there is no such thing
    pid_t child = fork();
    if (child == 0) {
        alarm(60);  // a lock that nobody lets go of
        int before = atomic_load(&failures);
        chain(worker);
        train(worker);
        user_nodes(worker);
        _exit(atomic_load(&failures) != before || !tape_is_whole(&tape, NULL));
    }
    int status = 1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
#endif
    worker->operations++;
}

static int rounds = 300;

static void *work(void *argument) {
    Worker *worker = argument;
    for (int i = 0; i < rounds; i++) {
        switch (rng_random_u32(&worker->rng) % 7) {
        case 0: chain(worker); break;
        case 1: add_gradients(worker); break;
        case 2: use_shared_root(worker); break;
        case 3: train(worker); break;
        case 4: user_nodes(worker); break;
        case 5: faults(worker); break;
        case 6: if (i % 10 == 0) fork_child(worker); break;
        }
    }
    return NULL;
}

// -----------------------------------------------------------------------------

int main(int argc, char **argv) {
    static Worker workers[MOST_THREADS];
    int threads = argc > 1 ? atoi(argv[1]) : 8;
    if (argc > 2) rounds = atoi(argv[2]);
    if (threads < 1 || threads > MOST_THREADS || rounds < 1) {
        fprintf(stderr, "usage: stress [1 .. %d threads [rounds]]\n", MOST_THREADS);
        return 2;
    }
    shared_init(cleaner);
    for (int i = 0; i < SHARED; i++) shared_x[i] = shared_leaf(i);
    Index dot = shared_dot(0, 0.0, shared_x, NULL, shared_x, NULL, SHARED);
    shared_root = replace(dot, shared_binary_number(OP_MUL, dot, 2.0));

    double slot = 0.0;
    train(&(Worker){.slots = &slot});  // what it comes to in one thread
    for (int i = 0; i < threads; i++) {
        workers[i] = (Worker){.number = i, .slots = &slot};
        rng_init(&workers[i].rng, (uint64_t)i + 1);
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    long operations = 0;
    double added[SHARED] = {0};
    for (int i = 0; i < threads; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        operations += workers[i].operations;
        for (int k = 0; k < SHARED; k++) added[k] += workers[i].added[k];
    }
    for (int i = 0; i < SHARED; i++) CHECK(shared_grad(shared_x[i]) == added[i]);

    shared_release(shared_root);
    for (int i = 0; i < SHARED; i++) shared_release(shared_x[i]);
    cleaner();
    CHECK(shared_live() == 0 && tape_is_whole(&tape, NULL));
    CHECK(tape.kept == 0 && tape.scheduled == 0 && !tape.held);
    CHECK(atomic_load(&watched) == atomic_load(&buried));
    tape_free(&tape);
    printf("%d threads, %ld calls, %d failed\n", threads, operations, atomic_load(&failures));
    return atomic_load(&failures) > 0;
}

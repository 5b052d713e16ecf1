// The one tape that all of Python shares. Long calls let go of Python's own lock (calls.h),
// so threads meet here: each function takes the tape's lock, calls its namesake of the
// library and lets go again.

#include <math.h>
#include <string.h>
#include "lock.h"
#include "micrograd.h"

static Tape tape;
static Lock tape_lock = LOCK_FREE;

// each thread has its own last fault, and its own `with no_grad():`
static THREAD_LOCAL Fault last_fault;
static THREAD_LOCAL int recording = 1;
static int threads_in_no_grad;  // if there is none, nobody needs to look

static int is_recording(void) {
    return threads_in_no_grad == 0 || recording;
}

static void lock(void) {
    lock_take(&tape_lock);
}

static void unlock(void) {
    lock_give(&tape_lock);
}

// Python's function that forgets what it knows of watched nodes that have died
static void (*clean_up)(void);

void shared_init(void (*cleaner)(void)) {
    static int once;
    // a child that is forked while another thread is inside gets the tape whole
    if (!once) once = lock_around_forks(lock, unlock) == 0;
    lock();
    clean_up = cleaner;
    unlock();
}

#define LOCKED(type, call)    \
    do {                      \
        lock();               \
        type value = (call);  \
        unlock();             \
        return value;         \
    } while (0)

// -----------------------------------------------------------------------------
// recording

static int check(int result) {
    if (result < 0) last_fault = tape.fault;
    return result;
}

static Index held(Index i) {
    if (!i) {
        last_fault = tape.fault;
        return UINT32_MAX;
    }
    tape_hold(&tape, i);
    return i;
}

// hold a result for its handle; under no_grad a leaf with its number takes its place
static Index result(Index i) {
    if (i && !is_recording()) {
        Index leaf = tape_leaf(&tape, tape_node(&tape, i)->data);
        tape_discard(&tape, i);
        i = leaf;
    }
    return held(i);
}

// The garbage collector finalises all of a cycle before it frees any of it. So another
// finaliser may use a handle that has let go of its node already: that is a fault.
static int is_stale(Index i) {
    return i > tape.used || tape.nodes[i].op >= OP_DEAD;
}

static Index use(Index i) {
    if (!is_stale(i)) return i;
    tape.fault = (Fault){.code = FAULT_STALE};
    return 0;
}

static int use_all(const Index *nodes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (nodes[i] && !use(nodes[i])) return 0;  // 0 stands for a number
    }
    return 1;
}

Index shared_leaf(double data) {
    LOCKED(Index, held(tape_leaf(&tape, data)));
}

Index shared_unary(int op, Index a) {
    LOCKED(Index, result(tape_unary(&tape, (Op)op, use(a))));
}

Index shared_binary(int op, Index a, Index b) {
    LOCKED(Index, result(tape_binary(&tape, (Op)op, use(a), use(b))));
}

Index shared_add(Index a, Index b) {
    LOCKED(Index, result(tape_binary(&tape, OP_ADD, use(a), use(b))));
}

Index shared_mul(Index a, Index b) {
    LOCKED(Index, result(tape_binary(&tape, OP_MUL, use(a), use(b))));
}

Index shared_binary_number(int op, Index a, double k) {
    LOCKED(Index, result(tape_binary(&tape, (Op)op, use(a), tape_leaf(&tape, k))));
}

Index shared_number_binary(int op, double k, Index b) {
    LOCKED(Index, result(tape_binary(&tape, (Op)op, tape_leaf(&tape, k), use(b))));
}

Index shared_pow(Index a, double k, int is_integer) {
    LOCKED(Index, result(tape_pow(&tape, use(a), k, is_integer)));
}

Index shared_neg(Index a) {
    LOCKED(Index, result(tape_neg(&tape, use(a))));
}

Index shared_sub(Index a, Index b) {
    LOCKED(Index, result(tape_sub(&tape, use(a), use(b))));
}

Index shared_rsub(Index a, double k) {
    LOCKED(Index, result(tape_binary(&tape, OP_ADD, tape_neg(&tape, use(a)), tape_leaf(&tape, k))));
}

Index shared_div(Index a, Index b) {
    LOCKED(Index, result(tape_div(&tape, use(a), use(b))));
}

Index shared_rdiv(Index a, double k) {
    LOCKED(Index, result(tape_binary(&tape, OP_MUL, tape_pow(&tape, use(a), -1.0, 1), tape_leaf(&tape, k))));
}

Index shared_user(double data, const Index *operands, size_t n) {
    LOCKED(Index, result(use_all(operands, n) ? tape_user(&tape, data, operands, n) : 0));
}

// of the two ways to compute a result: with a graph, or under no_grad without
#define RECORDED_OR_EVALUATED(name, evaluate, ...) \
    (is_recording() ? name(&tape, __VA_ARGS__) : evaluate(&tape, __VA_ARGS__))

Index shared_dot(Index start, double number, const Index *w, const double *w_numbers,
                 const Index *x, const double *x_numbers, size_t n) {
    LOCKED(Index, held(use_all(&start, 1) && use_all(w, n) && use_all(x, n)
        ? RECORDED_OR_EVALUATED(tape_dot, dot_evaluate, start, number, w, w_numbers, x, x_numbers, n) : 0));
}

Index shared_sum(Index start, double number, const Index *x, const double *numbers, size_t n) {
    LOCKED(Index, held(use_all(&start, 1) && use_all(x, n)
        ? RECORDED_OR_EVALUATED(tape_sum, sum_evaluate, start, number, x, numbers, n) : 0));
}

void shared_hold(Index i) {
    lock();
    tape_hold(&tape, i);
    unlock();
}

void shared_release(Index i) {
    lock();
    if (!is_stale(i)) tape_release(&tape, i);
    void (*cleaner)(void) = tape.dead ? clean_up : NULL;
    unlock();
    if (cleaner) cleaner();
}

Index shared_dead(void) {
    LOCKED(Index, tape_dead(&tape));
}

void shared_bury(Index i) {
    lock();
    tape_bury(&tape, i);
    unlock();
}

// -----------------------------------------------------------------------------
// one node

double shared_data(Index i) {
    LOCKED(double, is_stale(i) ? NAN : tape_node(&tape, i)->data);
}

int shared_is_stale(Index i) {
    LOCKED(int, is_stale(i));
}

double shared_grad(Index i) {
    LOCKED(double, is_stale(i) ? NAN : tape_node(&tape, i)->grad);
}

int shared_set_data(Index i, double data) {
    lock();
    int failed = check(use(i) ? 0 : -1);
    if (!failed) tape_node(&tape, i)->data = data;
    unlock();
    return failed;
}

int shared_set_grad(Index i, double grad) {
    lock();
    int failed = check(use(i) ? 0 : -1);
    if (!failed) tape_node(&tape, i)->grad = grad;
    unlock();
    return failed;
}

int shared_op(Index i) {
    LOCKED(int, is_stale(i) ? OP_DEAD : tape.nodes[i].op);
}

double shared_exponent(Index i, int *is_integer) {
    lock();
    Node exponent = tape.nodes[is_stale(i) ? 0 : tape.nodes[i].b];
    unlock();
    *is_integer = (exponent.flags & NODE_INTEGER) != 0;
    return exponent.data;
}

size_t shared_operands(Index i, Index *operands, size_t room) {
    lock();
    size_t n = is_stale(i) ? 0 : tape_operands(&tape, i, NULL);
    if (n && n <= room) {
        tape_operands(&tape, i, operands);
        for (size_t k = 0; k < n; k++) tape_hold(&tape, operands[k]);
    }
    unlock();
    return n;
}

static Node *moments(Index i) {
    if (is_stale(i)) return NULL;
    Node *node = &tape.nodes[i];
    return node->op == OP_LEAF && node->a ? &tape.nodes[node->a] : NULL;
}

int shared_moments(Index i, double *m, double *v) {
    lock();
    const Node *mv = moments(i);
    if (mv) {
        *m = mv->data;
        *v = mv->grad;
    }
    unlock();
    return mv != NULL;
}

void shared_set_moments(Index i, double m, double v) {
    lock();
    Node *mv = moments(i);
    if (mv) {
        mv->data = m;
        mv->grad = v;
    }
    unlock();
}

int shared_set_watched(Index i) {
    lock();
    int failed = check(use(i) ? 0 : -1);
    if (!failed) tape.nodes[i].flags |= NODE_WATCHED;
    unlock();
    return failed;
}

void shared_set_function(Index i, int on) {
    lock();
    if (!is_stale(i)) tape_set_function(&tape, i, on);
    unlock();
}

// -----------------------------------------------------------------------------
// passes

int shared_backward(Index root) {
    LOCKED(int, check(use(root) ? tape_backward(&tape, root) : -1));
}

int shared_forward(Index root) {
    LOCKED(int, check(use(root) ? tape_forward(&tape, root) : -1));
}

size_t shared_walk(Index root, int forward, Index *order, size_t room) {
    lock();
    size_t n = use(root) ? tape_walk(&tape, root, forward) : 0;
    if (n == 0) last_fault = tape.fault;
    if (n <= room && n) memcpy(order, tape.order, n * sizeof(Index));
    unlock();
    return n;
}

int shared_node_backward(Index i) {
    LOCKED(int, check(use(i) ? node_backward(&tape, i) : -1));
}

static ptrdiff_t check_position(ptrdiff_t position) {
    if (position == -2) last_fault = tape.fault;
    return position;
}

ptrdiff_t shared_backward_until(const Index *order, ptrdiff_t from) {
    LOCKED(ptrdiff_t, check_position(tape_backward_until(&tape, order, from)));
}

ptrdiff_t shared_forward_until(const Index *order, ptrdiff_t from, ptrdiff_t n) {
    LOCKED(ptrdiff_t, check_position(tape_forward_until(&tape, order, from, n)));
}

void shared_get_all(const Index *order, size_t n, double *data, double *grad) {
    lock();
    tape_settle(&tape);
    for (size_t k = 0; k < n; k++) {
        data[k] = tape.nodes[order[k]].data;
        grad[k] = tape.nodes[order[k]].grad;
    }
    unlock();
}

void shared_set_all(const Index *order, size_t n, const double *data, const double *grad) {
    lock();
    tape_settle(&tape);
    for (size_t k = 0; k < n; k++) {
        tape.nodes[order[k]].data = data[k];
        tape.nodes[order[k]].grad = grad[k];
    }
    unlock();
}

void shared_forget_gradients(const Index *order, size_t n) {
    lock();
    tape_settle(&tape);
    for (size_t k = 0; k < n; k++) {
        if (tape.nodes[order[k]].op != OP_LEAF) tape.nodes[order[k]].grad = 0.0;
    }
    unlock();
}

// -----------------------------------------------------------------------------
// networks

static int held_all(int failed, const Index *nodes, size_t n) {
    for (size_t i = 0; i < n && !failed; i++) tape_hold(&tape, nodes[i]);
    return check(failed);
}

static int use_mlp(const MLP *mlp, const Index *x, size_t points) {
    return use_all(mlp->parameters, mlp_parameters(mlp)) && use_all(x, points * mlp->sizes[0]);
}

int shared_mlp_call(const MLP *mlp, const Index *x, const double *numbers, Index *out) {
    LOCKED(int, held_all(use_mlp(mlp, x, 1)
        ? RECORDED_OR_EVALUATED(mlp_call, mlp_evaluate, mlp, x, numbers, out) : -1, out, mlp->sizes[mlp->nlayers]));
}

int shared_softmax(const Index *x, size_t n, Index *out) {
    LOCKED(int, held_all(use_all(x, n)
        ? RECORDED_OR_EVALUATED(softmax, softmax_evaluate, x, n, out) : -1, out, n));
}

Index shared_cross_entropy(const Index *logits, size_t n, size_t target) {
    LOCKED(Index, held(use_all(logits, n)
        ? RECORDED_OR_EVALUATED(cross_entropy, cross_entropy_evaluate, logits, n, target) : 0));
}

Index shared_mean_cross_entropy(const MLP *mlp, const Index *x, const double *numbers,
                                const int32_t *labels, size_t n) {
    LOCKED(Index, held(use_mlp(mlp, x, n)
        ? RECORDED_OR_EVALUATED(mean_cross_entropy, mean_cross_entropy_evaluate, mlp, x, numbers, labels, n) : 0));
}

int shared_adamw_init(const Index *parameters, size_t n) {
    LOCKED(int, check(use_all(parameters, n) ? adamw_init(&tape, parameters, n) : -1));
}

int shared_adamw_step(AdamW *adamw, const Index *parameters, size_t n) {
    LOCKED(int, check(use_all(parameters, n) ? adamw_step(&tape, adamw, parameters, n) : -1));
}

int shared_sgd_step(double lr, const Index *parameters, size_t n) {
    lock();
    int failed = check(use_all(parameters, n) ? 0 : -1);
    if (!failed) sgd_step(&tape, lr, parameters, n);
    unlock();
    return failed;
}

int shared_zero_grad(const Index *parameters, size_t n) {
    lock();
    int failed = check(use_all(parameters, n) ? 0 : -1);
    if (!failed) zero_grad(&tape, parameters, n);
    unlock();
    return failed;
}

// -----------------------------------------------------------------------------
// and the rest

int shared_recording(int on) {
    int before = recording;
    if (on < 0 || on == before) return before;
    lock();
    threads_in_no_grad += on ? -1 : 1;
    recording = on;
    unlock();
    return before;
}

void shared_fault(Fault *fault) {
    *fault = last_fault;
}

Index shared_live(void) {
    LOCKED(Index, tape.live);
}

const char *micrograd_version(void) {
    return MICROGRAD_VERSION;
}

// micrograd in C: every public declaration, once.
//
// Python's cffi reads this very file, and the headers that it includes. It drops the lines that
// start with '#', so those may only be guards and includes, and constants are enums.
//
// Nothing here prints, exits or has state of its own: a function takes what it works on as
// its first argument, and says that it failed with 0 or -1. What failed, and with which
// numbers, is then in tape->fault. What Python needs besides is in python/binding.h.

#ifndef MICROGRAD_H
#define MICROGRAD_H

#include <stddef.h>
#include <stdint.h>
#include "repr.h"
#include "rng.h"

// -----------------------------------------------------------------------------
// the data sets (data.c): n labelled points of the plane, made by the generator

typedef struct Point {
    double x[2];
    int32_t label;                            // the class: 0, 1 or 2
} Point;

void gen_data(RNG *rng, Point *points, size_t n);
void gen_data_circles(RNG *rng, Point *points, size_t n);
void gen_data_yinyang(RNG *rng, Point *points, size_t n, double r_small, double r_big);

// -----------------------------------------------------------------------------
// the tape: an arena of nodes, each the result of one operation

// What made a node. To add an operation: a line here, before OP_USER, and a case in each of the
// switches, which are in this order, too: op_name (ops.c), op_forward and op_backward (ops.h).
// The compiler names a missing one.
typedef enum Op {
    OP_LEAF,     // Value(data)
    OP_SHIFT,    // -a, to all users a leaf: no gradient passes, but forward recomputes it
    OP_LARGER,   // max(a, b), only ever below a shift
    OP_ADD,      // a + b
    OP_MUL,      // a * b
    OP_POW,      // a ** number, the number in a leaf that gets no gradient
    OP_POWER,    // a ** b
    OP_RELU,     // a.relu()
    OP_TANH,     // a.tanh()
    OP_EXP,      // a.exp()
    OP_LOG,      // a.log()
    OP_SIGMOID,  // a.sigmoid()
    OP_SQRT,     // a.sqrt()
    OP_SIN,      // a.sin()
    OP_COS,      // a.cos()
    OP_ABS,      // abs(a)
    OP_TAKE,     // take(items, i): a copy of one of them
    OP_USER,     // Value(data, operands, "name"); the operands in a list
    OP_LINEAR,   // Value(data, operands, slopes): a user node whose slopes are constants
    OP_LIST,     // one operand of a user node (a), its slope (data), the rest of the list (b)
    OP_MOMENTS,  // Adam's two moments of the leaf whose operand this is
    OP_FREE      // not in use
} Op;

const char *op_name(Op op);  // as drawings show it: "+", "tanh"; "**k" of OP_POW; "" without a rule

typedef uint32_t Index;  // of a node in the arena; 0 is no node

// Its numbers stand in two arrays of the tape, data and grad: what is done to those of many
// neighbours goes over a quarter of the memory then, and several at a time.
typedef struct Node {
    Index a, b;      // the operands, 0 where there is none
    uint32_t refs;   // how many owners and nodes use this one; of a watched node, the nodes
    uint8_t op;      // an Op
    uint8_t flags;   // NodeFlag bits
} Node;

enum NodeFlag {
    NODE_VISITED = 1,   // the walk under way has been here
    NODE_WATCHED = 2,   // its owner decides when it is freed: see tape_watch
    NODE_FUNCTION = 4,  // its backward rule is its owner's own function
    NODE_USER = 8,      // a user node, whose number only its owner can recompute
    NODE_INTEGER = 16,  // this exponent was written as an integer: **2, not **2.0
    NODE_CHOICE = 16,   // of an OP_TAKE, which is no exponent: a recording may give it another operand
    NODE_UNRECORDED = 16,  // of an OP_LEAF, which is no exponent either: it was computed without a graph
    NODE_SHIFT = 32,    // a shift, which is below other nodes in a forward pass only
    NODE_SCHEDULED = 64,  // the tape keeps the order of its passes
    NODE_REPLAYED = 128   // its numbers may be in a replay: see tape_data
};

typedef enum FaultCode {
    FAULT_NONE,
    FAULT_MEMORY,    // no room for another node
    FAULT_FORWARD,   // op(a, b) has no value: log(0), exp(1000), 0**-1 ...
    FAULT_BACKWARD,  // nor has its derivative: 1/0, 0**-0.5 ...
    FAULT_DIVISION,  // a / b where b is zero
    FAULT_MOMENTS,   // an optimiser's moments of a parameter are gone
    FAULT_USER,      // the graph has nodes that only their owner can run
    FAULT_INDEX      // there is no item a among b of them
} FaultCode;

typedef struct Fault {
    int code;        // a FaultCode
    int op;          // the Op that failed
    int operands;    // how many numbers it was given, and which
    double a, b;
    double out;      // and, for a derivative, its result
} Fault;

typedef struct Schedule Schedule;  // the order of a root's passes, kept with the root: tape.h
typedef struct Choice Choice;      // of an item by an integer, in a recording: replay.h
typedef struct Replay Replay;      // the program compiled from a recording: replay.h
typedef struct Compiler Compiler;  // and what makes it

typedef struct Tape {
    Node *nodes;      // the arena. nodes[0] stands for operands that are not there
    double *data;     // by node: its number
    double *grad;     // and its gradient
    Index capacity;   // nodes in it
    Index used;       // nodes 1 .. used have been in use at some time
    Index live;       // nodes in use now
    Index free;       // the first free one; each holds the next in a
    Index aside;      // while a recording is logged: the free ones that it does not take
    Index trim_below; // the arena tries to shrink when fewer nodes than this are live
    Index trim_later; // but not while this is above 0
    Index watched;    // how many nodes are watched
    Index *unused;    // watched nodes that have lost their last user, held by this list
    size_t nunused, unused_room;
    Index *order;     // room for a depth-first walk: the order found, from the left,
                      // and the nodes it is still below, from the right
    double *saved;    // what a pass has overwritten, by position in the order: twice as many
    Index room;       // nodes that order and saved have room for
    Compiler *compiler;  // of recordings, with the memory that it works in
    Schedule **schedules;  // those that are kept, in buckets by their root
    Index buckets;    // a power of two
    Index scheduled;  // how many are kept
    size_t kept;      // and how many nodes they list
    Schedule *log;    // the one that the recording under way is writing
    uint64_t touched; // grows whenever a node may have got another user, owner or gradient
    Replay *held;     // the first replay that holds numbers its nodes do not have yet
    uint64_t chosen;  // grows whenever a recording gives a node another operand
    Index leaves;     // the first of nleaves leaves side by side whose moments are, too,
    Index moments;    // and the first of those: found by an optimiser, and 0 once one has gone
    size_t nleaves;
    Fault fault;      // what the last call that failed had to say
} Tape;

void tape_init(Tape *tape);
void tape_free(Tape *tape);

// Recording (operations.c). Each returns the new node, or 0. A new node has no user and no owner yet; the
// caller holds it, makes it an operand or discards it. Operands without one are discarded
// when the operation fails, and an operand 0 makes it fail, so that expressions nest and
// only their outcome needs a check.
// Sums are over nodes and numbers mixed, as in a Python list: where start, w[i] or x[i] is 0
// the number is meant, which need not be there otherwise. Numbers are added up as numbers
// until the first node comes; after it each is a leaf of its own.
Index tape_leaf(Tape *tape, double data);
Index tape_unary(Tape *tape, Op op, Index a);
Index tape_binary(Tape *tape, Op op, Index a, Index b);
Index tape_pow(Tape *tape, Index a, double k, int is_integer);      // a ** k
Index tape_dot(Tape *tape, Index start, double number,              // start + w0*x0 + ...
               const Index *w, const double *w_numbers, const Index *x, const double *x_numbers, size_t n);
Index tape_sum(Tape *tape, Index start, double number,              // start + x0 + ...
               const Index *x, const double *numbers, size_t n);
Index tape_neg(Tape *tape, Index a);                                // a * -1
Index tape_sub(Tape *tape, Index a, Index b);                       // a + (-b)
Index tape_sub_number(Tape *tape, Index a, double k);               // a + (-k)
Index tape_number_sub(Tape *tape, double k, Index a);               // (-a) + k
Index tape_div(Tape *tape, Index a, Index b);                       // a * b**-1
Index tape_div_number(Tape *tape, Index a, double k);               // a * k**-1
Index tape_number_div(Tape *tape, double k, Index a);               // (a**-1) * k
Index tape_user(Tape *tape, double data, const Index *operands, const double *slopes, size_t n);
Index tape_largest(Tape *tape, const Index *operands, size_t n);    // for a shift

// The log of a recording (schedule.c). If only leaves below the root are older than the recording,
// the order in which its nodes are made serves as the order of the passes. Between start and end it
// is logged, and then no pass over the root has to walk the graph. There is no log if a parameter
// is listed twice, or is an input, too; inputs may be listed more than once, and be 0.
void tape_log_start(Tape *tape, const Index *parameters, size_t n, const Index *inputs, size_t m);
void tape_log_end(Tape *tape, Index root);   // 0: the recording has failed

// Lifetime (arena.c). A node lives while it is held or a living node uses it.
void tape_hold(Tape *tape, Index i);
void tape_release(Tape *tape, Index i);
void tape_discard(Tape *tape, Index i);      // free it if it is not held or used

// A watched node has one owner outside, whose hold is not counted. When it loses the last node
// that uses it, it is not freed: tape_unused returns such nodes one by one, and 0 after the last.
// The owner releases it with tape_unwatch, at once or later.
int tape_watch(Tape *tape, Index i);         // the caller's hold becomes the owner's; or -1
void tape_unwatch(Tape *tape, Index i);      // and free it if no node uses it
Index tape_unused(Tape *tape);

// A node's number and gradient. A recording that was compiled keeps those of its inner nodes in
// arrays of its own, and these functions write them to tape->data and tape->grad first. The
// root's, and the leaves' gradients, are always there.
double *tape_data(Tape *tape, Index i);
double *tape_grad(Tape *tape, Index i);
void tape_settle(Tape *tape);                // put those of all nodes in place

// The operands as the user sees them: how many, and which (unless operands is NULL).
size_t tape_operands(const Tape *tape, Index i, Index *operands);

// The derivative of the node with respect to each of them, at their present data; returns how many,
// or -1 if one does not exist. User nodes have none unless they were recorded with them.
ptrdiff_t tape_slopes(Tape *tape, Index i, double *slopes);

// the moments of optimisers (optim.c)
Index tape_moments(const Tape *tape, Index i);  // the node of a leaf's m (data) and v (grad), or 0
int tape_make_moments(Tape *tape, Index i);  // 0, or -1 without memory
void tape_forget_moments(Tape *tape, Index i);

// The passes (passes.c). All nodes below root, operands before their users, left before right; returns how
// many there are (0: no memory), and in tape->order which. What a shift is computed from
// belongs to it where the walk is for a forward pass, and only there.
size_t tape_walk(Tape *tape, Index root, int forward);

// Both passes return 0, or -1 and leave every node as it was. backward sets root's
// gradient to 1 and adds to all others; forward recomputes every node from the leaves'
// present data and sets its gradient to 0, the leaves' excepted.
int tape_backward(Tape *tape, Index root);
int tape_forward(Tape *tape, Index root);

// The same passes in pieces, over an order that the caller keeps. They stop at a node
// that is its owner's to run and return its position, or else -1 (backward) or n
// (forward), or -2 if a rule failed.
ptrdiff_t tape_backward_until(Tape *tape, const Index *order, ptrdiff_t from);
ptrdiff_t tape_forward_until(Tape *tape, const Index *order, ptrdiff_t from, ptrdiff_t n);

int node_backward(Tape *tape, Index i);      // one node's rule, once
void tape_set_function(Tape *tape, Index i, int on);  // whether its backward rule is a function of its owner's

// -----------------------------------------------------------------------------
// recordings whose inputs change (recording.c): leaves get other numbers, nodes of OP_TAKE other
// operands, and forward goes over what was recorded

typedef struct Recording {
    Index root;           // below it are all outputs, and all items of choices that are computed
    Index *outputs;       // those that are computed; backward goes from the first one
    size_t noutputs;
    Index *inputs;        // leaves
    double *numbers;      // their data and gradients before recording_set
    size_t ninputs;
    Choice *choices;
    size_t nchoices;
} Recording;

// These return 0, or -1 without memory; then, too, recording_free has to be called. Choices are
// added one by one: `takes` copy one row of `width` of the n rows of items, the one that integer
// number `integer` says. At the end the recording is compiled, if that is possible.
int recording_start(Tape *tape, Recording *recording, const Index *outputs, size_t noutputs, const Index *inputs,
                    size_t ninputs);
int recording_choice(Tape *tape, Recording *recording, size_t integer, const Index *takes, size_t width,
                     const Index *items, size_t n);
int recording_end(Tape *tape, Recording *recording);
void recording_free(Tape *tape, Recording *recording);

// Set all inputs, and their gradients to 0; 0, or -1 if an integer is out of range, and then all is
// as it was.
int recording_set(Tape *tape, Recording *recording, const double *numbers, const int64_t *integers);
void recording_undo(Tape *tape, Recording *recording);  // all as before the last recording_set
int recording_forward(Tape *tape, Recording *recording);  // as tape_forward over all outputs

// -----------------------------------------------------------------------------
// the networks (nn.c), recorded on the tape as the course's Python loops would

// A model's parameters are the nodes of its neurons in order, for each neuron its nin
// weights and then its bias. Inputs are nodes; where x[i] is 0 each product makes a
// leaf of its own from numbers[i]. Outputs are new nodes without a user.
typedef struct MLP {
    size_t nlayers;
    const uint32_t *sizes;        // nlayers + 1 of them: the inputs, then each layer
    const uint8_t *activations;   // of each layer: OP_TANH, OP_RELU, or 0 for none
    Index *parameters;
} MLP;

size_t mlp_parameters(const MLP *mlp);             // how many there are
int mlp_init(Tape *tape, MLP *mlp, RNG *rng);      // fills in, and holds, the parameters

Index neuron_call(Tape *tape, const Index *parameters, size_t nin, const Index *x, const double *numbers,
                  int activation);
int layer_call(Tape *tape, const Index *parameters, size_t nin, size_t nout, const Index *x, const double *numbers,
               int activation, Index *out);
int mlp_call(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, Index *out);

// -----------------------------------------------------------------------------
// functions of lists of nodes (functions.c) and losses (loss.c)

// dot(row, x) for each of the nout rows of w, which stand one after the other; 0, or -1. As for
// tape_dot.
int linear(Tape *tape, const Index *x, const double *x_numbers, size_t nin, const Index *w, const double *w_numbers,
           size_t nout, Index *out);

// exp(x - max(x)), into out, and their sum; 0, or -1.
int exponentials(Tape *tape, const Index *x, size_t n, Index *out, Index *sum);

// exp(x) / sum(exp(x)), into out; 0, or -1.
int softmax(Tape *tape, const Index *x, size_t n, Index *out);

// The losses. Labels are below the number of logits; the inputs of all n points stand
// in one row.
Index cross_entropy(Tape *tape, const Index *logits, size_t n, size_t target);
Index mean_cross_entropy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, const int32_t *labels,
                         size_t n);

// The same without a graph (evaluate.c), where no gradients are wanted: each result is a leaf.
Index dot_evaluate(Tape *tape, Index start, double number, const Index *w, const double *w_numbers, const Index *x,
                   const double *x_numbers, size_t n);
Index sum_evaluate(Tape *tape, Index start, double number, const Index *x, const double *numbers, size_t n);
int mlp_evaluate(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, Index *out);
int linear_evaluate(Tape *tape, const Index *x, const double *x_numbers, size_t nin, const Index *w,
                    const double *w_numbers, size_t nout, Index *out);
int softmax_evaluate(Tape *tape, const Index *x, size_t n, Index *out);
Index cross_entropy_evaluate(Tape *tape, const Index *logits, size_t n, size_t target);
Index mean_cross_entropy_evaluate(Tape *tape, const MLP *mlp, const Index *x, const double *numbers,
                                  const int32_t *labels, size_t n);

// The share of points whose largest logit, the first one of those, is the label's; 0, or -1.
int accuracy(Tape *tape, const MLP *mlp, const Index *x, const double *numbers, const int32_t *labels, size_t n,
             double *share);

// -----------------------------------------------------------------------------
// the optimisers (optim.c), over leaves. A step that fails changes nothing.

// Adam in the form of microgpt, and AdamW in that of the course. Either keeps two moments
// with each parameter, which adam_init sets to 0.
typedef struct Adam {
    double lr, beta1, beta2, eps;
    double weight_decay;      // of AdamW; Adam has none
    double t;                 // steps taken
} Adam;

typedef Adam AdamW;

int adam_init(Tape *tape, const Index *parameters, size_t n);
int adam_step(Tape *tape, Adam *adam, const Index *parameters, size_t n);
int adamw_step(Tape *tape, AdamW *adamw, const Index *parameters, size_t n);

// SGD, and SGD with momentum, which is kept in Adam's m: adam_init sets it to 0.
void sgd_step(Tape *tape, double lr, const Index *parameters, size_t n);
int sgd_momentum_step(Tape *tape, double lr, double momentum, const Index *parameters, size_t n);

void zero_grad(Tape *tape, const Index *parameters, size_t n);

#endif

// Random programs on a tape, beside a model of it: `make -C csrc fuzz`.
//
// The bytes of an input are instructions: record, drop, set, go forward and backward, let the
// next allocation fail ... Each is done on the tape and on the model (model.h), which must
// agree on whether it fails, and how. When they are compared, every number that can be reached
// must have the same bits, and the tape must be whole. A difference ends the program by abort().
//
// Built for libFuzzer it looks for inputs by itself. Else it runs those in the files that it
// is given: `make -C csrc fuzz-replay` does that with tests/corpus.

#include <limits.h>
#include "tape.h"
#include "invariants.h"
#include "failing.h"
#include "model.h"

#define MUST(condition)                                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

enum {
    MOST_HANDLES = 64,
    MOST_LAYERS = 3,
    MOST_POINTS = 5,
    MOST_ITEMS = MOST_POINTS * 3,
    MOST_RECORDINGS = 3,
    MOST_AT_ONCE = 1000  // the model makes at most so many nodes for one instruction
};

// a node that the program holds, and its twin in the model
typedef struct Handle {
    Index place;
    int node;
} Handle;

typedef struct Handles {
    Handle at[MOST_HANDLES];
    int n;
} Handles;

static const uint8_t *next_byte, *last_byte;
static Tape tape;
static Handles handles, parameters, optimised;  // of the program, its network and its optimiser
static Handles watched;   // nodes that the program watches: its hold on them is not counted
static Handles let_go;    // unwatched, but still on the tape's list of unused nodes
static size_t nlayers;                          // 0: there is no network
static uint32_t sizes[MOST_LAYERS + 1];
static uint8_t activations[MOST_LAYERS];
static AdamW adamw;

typedef struct Recorded {
    Recording recording;
    ModelRecording model;
    int ranges[MOST_CHOICES];      // by integer: how many rows it chooses from,
    int64_t integers[MOST_CHOICES];  // and the one that it chooses now
    int nintegers;
} Recorded;

static Recorded recordings[MOST_RECORDINGS];
static int nrecordings;

// -----------------------------------------------------------------------------
// the bytes

static uint8_t byte(void) {
    return next_byte < last_byte ? *next_byte++ : 0;
}

static int below(int n) {  // 0 .. n-1
    return byte() % n;
}

// mostly numbers that give rounding errors, so that a sum in another order is another number
static double number(void) {
    static const double numbers[] = {
        0.0,  1.0,  -1.0,  0.1,    0.3,    -0.7,  1.1,      2.0,       -1.3, 0.9,    3.7,
        1e-3, -0.0, 1e200, -1e200, 1e-200, 710.0, INFINITY, -INFINITY, NAN,  5e-324, -8.0,
    };
    return numbers[below(sizeof numbers / sizeof *numbers)];
}

static Handle *handle(void) {
    int i = below(handles.n + watched.n);
    return i < handles.n ? &handles.at[i] : &watched.at[i - handles.n];
}

// so many nodes, or nodes and numbers, as C takes them and as the model does; some are handles
// in a row, as the weights of a neuron are
typedef struct Items {
    Index places[MOST_ITEMS];
    double numbers[MOST_ITEMS];
    Item items[MOST_ITEMS];
} Items;

static Items take_items(int n, int with_numbers) {
    Items x = {0};
    int is_row = below(3) == 0, first = is_row ? below(handles.n) : 0;
    for (int i = 0; i < n; i++) {
        if (with_numbers && !is_row && below(3) == 0) {
            x.numbers[i] = x.items[i].number = number();
        } else {
            const Handle *one = is_row ? &handles.at[(first + i) % handles.n] : handle();
            x.places[i] = one->place;
            x.items[i].node = one->node;
        }
    }
    return x;
}

// -----------------------------------------------------------------------------
// the comparison

static int is_same(double x, double y) {
    return (isnan(x) && isnan(y)) || memcmp(&x, &y, sizeof x) == 0;
}

static int is_same_fault(const Fault *x, const Fault *y) {
    if (x->code != y->code || x->op != y->op || x->operands != y->operands) return 0;
    return is_same(x->a, y->a) && (x->operands < 2 || is_same(x->b, y->b)) && is_same(x->out, y->out);
}

// one node has all that its twin has; into operands go the places of the twin's operands
static void compare_node(const Twin *node, Index *operands) {
    const Node *nodes = tape.nodes, *found = &nodes[node->place];
    double found_data = *tape_data(&tape, node->place), found_grad = *tape_grad(&tape, node->place);
    MUST(is_living(&tape, node->place) && found->op == node->op);
    MUST(is_same(found_data, node->data) && is_same(found_grad, node->grad));
    MUST(((found->flags & NODE_FUNCTION) != 0) == node->has_function);
    MUST(((found->flags & NODE_WATCHED) != 0) == node->is_watched);
    MUST(found->op == OP_TAKE || ((found->flags & NODE_INTEGER) != 0) == node->is_integer);
    if (node->op == OP_LEAF) {
        MUST((found->a != 0) == node->has_moments);
        MUST(!found->a || (is_same(tape.data[found->a], node->m) && is_same(tape.grad[found->a], node->v)));
    } else if (is_user(node)) {
        MUST(tape_operands(&tape, node->place, operands) == (size_t)node->n);
        Index list = found->a;
        for (int k = 0; k < node->n; k++, list = nodes[list].b) MUST(is_same(tape.data[list], node->slopes[k]));
    } else {
        MUST((found->a != 0) + (found->b != 0) == node->n);
        operands[0] = found->a;
        operands[1] = found->b;
    }
}

static int met[MOST_TWINS], nmet;  // nodes whose operands are still to be looked at

static void meet(int node, Index place) {
    if (twin(node)->mark == model.marks) {  // reached before: it must be the same node
        MUST(twin(node)->place == place);
        return;
    }
    twin(node)->mark = model.marks;
    twin(node)->place = place;
    met[nmet++] = node;
}

static void meet_all(const Handles *held, Index *holds) {
    for (int i = 0; i < held->n; i++) {
        meet(held->at[i].node, held->at[i].place);
        if (holds) holds[held->at[i].place]++;
    }
}

typedef void VisitHeld(Index place, int node, Index *holds);

// each node of a recording, as often as the recording holds it
static void visit_recording(const Recorded *recorded, VisitHeld *visit, Index *holds) {
    const Recording *recording = &recorded->recording;
    const ModelRecording *expected = &recorded->model;
    for (int k = 0; k < expected->noutputs; k++) visit(recording->outputs[k], expected->outputs[k], holds);
    for (int k = 0; k < expected->ninputs; k++) visit(recording->inputs[k], expected->inputs[k], holds);
    for (int c = 0; c < expected->nchoices; c++) {
        const ModelChoice *choice = &expected->choices[c];
        const Choice *found = &recording->choices[c];
        for (int j = 0; j < choice->width; j++) visit(found->takes[j], choice->takes[j], holds);
        for (int k = 0; k < choice->n * choice->width; k++) visit(found->items[k], choice->items[k], holds);
    }
}

// each node in the list of its root: the items that are computed, and all outputs. Returns how many
static int visit_list(const Recorded *recorded, VisitHeld *visit, Index *holds) {
    const Recording *recording = &recorded->recording;
    const ModelRecording *expected = &recorded->model;
    Index list = recording->root, place = 0;
    int nodes[MOST_OUTPUTS + MOST_CHOICES * MOST_OPERANDS], n = 0;
    if (tape.nodes[list].op != OP_LIST) {
        MUST(list == recording->outputs[0]);
        return 0;
    }
    for (int c = 0; c < expected->nchoices; c++) {
        const ModelChoice *choice = &expected->choices[c];
        for (int k = 0; k < choice->n * choice->width; k++) {
            if (twin(choice->items[k])->op != OP_LEAF) nodes[n++] = choice->items[k];
        }
    }
    for (int k = 0; k < expected->noutputs; k++) nodes[n++] = expected->outputs[k];
    for (int k = 0; k < n; k++, list = tape.nodes[list].b) {
        MUST(list && (place = tape.nodes[list].a));
        visit(place, nodes[k], holds);
    }
    MUST(list == 0);
    return n;
}

static void meet_held(Index place, int node, Index *holds) {
    meet(node, place);
    if (holds) holds[place]++;
}

// all that can be reached is as in the model, nothing else lives, and the tape is whole
static void compare(void) {
    Index *holds = calloc((size_t)tape.used + 1, sizeof *holds), operands[MOST_OPERANDS], live = 0;
    model.marks++;
    meet_all(&handles, holds);
    meet_all(&parameters, holds);
    meet_all(&optimised, holds);
    meet_all(&watched, NULL);
    meet_all(&let_go, NULL);
    for (int r = 0; r < nrecordings; r++) {
        holds[recordings[r].recording.root]++;
        visit_recording(&recordings[r], meet_held, holds);
        live += (Index)visit_list(&recordings[r], meet_held, NULL);
    }
    while (nmet) {
        const Twin *node = twin(met[--nmet]);
        compare_node(node, operands);
        for (int i = 0; i < node->n; i++) meet(node->operands[i], operands[i]);
        // a list and moments are nodes, too
        live += (Index)(1 + (is_user(node) ? node->n : 0) + node->has_moments);
    }
    MUST(tape.live == live && tape.watched == (Index)watched.n);
    MUST(tape_is_whole(&tape, holds));
    free(holds);
}

static int is_out_of_memory(void) {
    return failed > 0 && tape.fault.code == FAULT_MEMORY;
}

// the tape's outcome is the model's: 0, or -1 with the same fault
static void agree(int result, int expected) {
    MUST(result == expected);
    MUST(result == 0 || is_same_fault(&tape.fault, &model.fault));
}

// -----------------------------------------------------------------------------
// holding and dropping

static void hold(Handles *held, Index place, int node) {
    tape_hold(&tape, place);
    held->at[held->n++] = (Handle){place, node};
}

static void drop(Handles *held, int i) {
    Index place = held->at[i].place;
    held->at[i] = held->at[--held->n];
    tape_release(&tape, place);
}

static void drop_all(Handles *held) {
    while (held->n) drop(held, held->n - 1);
}

static void places_of(const Handles *held, Index *places) {
    for (int i = 0; i < held->n; i++) places[i] = held->at[i].place;
}

static void nodes_of(const Handles *held, int *nodes) {
    for (int i = 0; i < held->n; i++) nodes[i] = held->at[i].node;
}

// what has been recorded, on the tape and in the model: a new handle for it
static void keep(Index place, int node) {
    if (!place && is_out_of_memory()) return;
    agree(place ? 0 : -1, node ? 0 : -1);
    if (place && handles.n < MOST_HANDLES) {
        hold(&handles, place, node);
    } else {
        tape_discard(&tape, place);
    }
}

static void keep_all(int result, const Index *places, int is_recorded, const int *nodes, int n) {
    if (result < 0 && is_out_of_memory()) return;
    agree(result, is_recorded ? 0 : -1);
    for (int i = 0; i < n && result == 0; i++) keep(places[i], nodes[i]);
}

// without a graph there is only the number
static int evaluated(int node) {
    return node ? model_leaf(twin(node)->data) : 0;
}

static void drop_handle(void) {
    drop(&handles, below(handles.n));
}

static void hold_operand(void) {
    Index operands[MOST_OPERANDS];
    const Handle *user = handle();
    int n = (int)tape_operands(&tape, user->place, operands);
    MUST(n == twin_operands(twin(user->node)));
    if (n == 0 || handles.n == MOST_HANDLES) return;
    int i = below(n);
    hold(&handles, operands[i], twin(user->node)->operands[i]);
}

// -----------------------------------------------------------------------------
// watched nodes

static void count_user(int node) {
    if (twin(node)->mark != model.marks) {
        twin(node)->mark = model.marks;
        twin(node)->users = 0;
        met[nmet++] = node;
    }
    twin(node)->users++;
}

static void count_all(const Handles *held, int uses) {
    for (int i = 0; i < held->n; i++) {
        count_user(held->at[i].node);
        twin(held->at[i].node)->users -= !uses;
    }
}

static void count_held(Index place, int node, Index *holds) {
    (void)place, (void)holds;
    count_user(node);
}

// by the model: how many nodes and counted holds use each node that can be reached
static void count_users(void) {
    model.marks++;
    count_all(&handles, 1);
    count_all(&parameters, 1);
    count_all(&optimised, 1);
    count_all(&watched, 0);
    count_all(&let_go, 0);
    for (int r = 0; r < nrecordings; r++) {
        visit_recording(&recordings[r], count_held, NULL);
        if (visit_list(&recordings[r], count_held, NULL) == 0) count_user(recordings[r].model.outputs[0]);
    }
    while (nmet) {
        const Twin *node = twin(met[--nmet]);
        for (int i = 0; i < node->n; i++) count_user(node->operands[i]);
    }
}

static int is_listed(Index place) {
    size_t k = 0;
    while (k < tape.nunused && tape.unused[k] != place) k++;
    return k < tape.nunused;
}

// watched nodes that had users before the last instruction and have none now are on the list
static void check_watched(void) {
    int had_users[MOST_HANDLES];
    for (int i = 0; i < watched.n; i++) had_users[i] = twin(watched.at[i].node)->users;
    count_users();
    for (int i = 0; i < watched.n; i++) {
        const Handle *one = &watched.at[i];
        MUST(!had_users[i] || twin(one->node)->users || is_listed(one->place));
        MUST(!is_listed(one->place) || tape.nodes[one->place].refs > 0);
    }
}

// the hold of one of the handles becomes the owner's, which is not counted
static void watch(void) {
    int i = below(handles.n);
    Handle one = handles.at[i];
    if (twin(one.node)->is_watched || watched.n == MOST_HANDLES) return;
    int result = tape_watch(&tape, one.place);
    MUST(result == 0 || is_out_of_memory());
    if (result < 0) return;
    twin(one.node)->is_watched = 1;
    twin(one.node)->users = 0;  // as far as it is known; none has been lost
    handles.at[i] = handles.at[--handles.n];
    watched.at[watched.n++] = one;
}

static void unwatch_at(int i) {
    Handle one = watched.at[i];
    watched.at[i] = watched.at[--watched.n];
    twin(one.node)->is_watched = 0;
    if (is_listed(one.place)) let_go.at[let_go.n++] = one;
    tape_unwatch(&tape, one.place);
}

// used or not, on the list or not
static void unwatch(void) {
    if (watched.n && let_go.n < MOST_HANDLES) unwatch_at(below(watched.n));
}

// a second holder, beside the owner
static void hold_watched(void) {
    if (!watched.n || handles.n == MOST_HANDLES) return;
    const Handle *one = &watched.at[below(watched.n)];
    hold(&handles, one->place, one->node);
}

// the next node that tape_unused returns must be watched, alive and without users; returns its position
// in `watched`, or -1
static int next_unused(void) {
    Index place = tape_unused(&tape);
    for (int i = let_go.n; i-- > 0;) {
        if (!is_listed(let_go.at[i].place)) let_go.at[i] = let_go.at[--let_go.n];
    }
    if (!place) {
        MUST(tape.nunused == 0 && let_go.n == 0);
        return -1;
    }
    int i = 0;
    while (i < watched.n && watched.at[i].place != place) i++;
    MUST(i < watched.n && !is_listed(place));
    count_users();
    MUST(twin(watched.at[i].node)->users == 0 && tape.nodes[place].refs == 0);
    return i;
}

// the owner keeps watching it, or adds a second hold, or unwatches it and holds it, or releases it
static void hand_out(void) {
    for (int times = 1 + below(4), i; times > 0 && (i = next_unused()) >= 0; times--) {
        int what = below(4), is_kept = what && what < 3 && handles.n < MOST_HANDLES;
        if (is_kept) hold(&handles, watched.at[i].place, watched.at[i].node);
        if (what > 1) unwatch_at(i);
    }
}

static void let_all_unused_go(void) {
    for (int i; (i = next_unused()) >= 0;) unwatch_at(i);
}

// -----------------------------------------------------------------------------
// recording one operation

static void record_leaf(void) {
    double data = number();
    keep(tape_leaf(&tape, data), model_leaf(data));
}

static void record_unary(void) {
    Op op = (Op)(OP_RELU + below(OP_USER - OP_RELU));  // all of one operand, in their order
    const Handle *a = handle();
    keep(tape_unary(&tape, op, a->place), model_unary(op, a->node));
}

static void record_binary(void) {
    static const Op ops[] = {OP_ADD, OP_MUL, OP_POWER};
    Op op = ops[below(3)];
    const Handle *a = handle(), *b = handle();
    keep(tape_binary(&tape, op, a->place, b->place), model_binary(op, a->node, b->node));
}

static void record_with_number(void) {
    Op op = below(2) ? OP_ADD : OP_MUL;
    double k = number();
    const Handle *a = handle();
    keep(tape_binary(&tape, op, a->place, tape_leaf(&tape, k)), model_binary(op, a->node, model_leaf(k)));
}

static void record_composed(void) {
    const Handle *a = handle(), *b = handle();
    switch (below(3)) {
    case 0: keep(tape_neg(&tape, a->place), model_neg(a->node)); break;
    case 1: keep(tape_sub(&tape, a->place, b->place), model_sub(a->node, b->node)); break;
    case 2: keep(tape_div(&tape, a->place, b->place), model_div(a->node, b->node)); break;
    }
}

static void record_pow(void) {
    double k = number();
    int is_integer = below(2);
    const Handle *a = handle();
    keep(tape_pow(&tape, a->place, k, is_integer), model_pow(a->node, k, is_integer));
}

static void record_user_node(void) {
    int n = below(10), is_linear = n >= 5, nodes[MOST_OPERANDS];
    double data = number(), slopes[MOST_OPERANDS];
    if (is_linear) n -= 5;
    Items x = take_items(n, 0);
    for (int i = 0; i < n; i++) nodes[i] = x.items[i].node;
    for (int i = 0; i < n && is_linear; i++) slopes[i] = number();
    keep(tape_user(&tape, data, x.places, is_linear ? slopes : NULL, (size_t)n),
         model_user(data, nodes, is_linear ? slopes : NULL, n));
}

// -----------------------------------------------------------------------------
// recording many, or computing their numbers without a graph

static void record_products(void) {
    int n = below(6);
    Items start = take_items(1, 1), w = take_items(n, 1), x = take_items(n, 1);
    int is_evaluated = below(4) == 0, node = model_dot(start.items[0], w.items, x.items, n);
    Index place = (is_evaluated ? dot_evaluate : tape_dot)(&tape, start.places[0], start.numbers[0], w.places,
                                                           w.numbers, x.places, x.numbers, (size_t)n);
    keep(place, is_evaluated ? evaluated(node) : node);
}

static void record_sum(void) {
    int n = below(6);
    Items start = take_items(1, 1), x = take_items(n, 1);
    int is_evaluated = below(4) == 0, node = model_sum(start.items[0], x.items, n);
    Index place = (is_evaluated ? sum_evaluate : tape_sum)(&tape, start.places[0], start.numbers[0], x.places,
                                                           x.numbers, (size_t)n);
    keep(place, is_evaluated ? evaluated(node) : node);
}

static void record_softmax(void) {
    int n = 1 + below(4), nodes[MOST_OPERANDS] = {0};
    Items x = take_items(n, 0);
    Index out[MOST_OPERANDS];
    int is_evaluated = below(4) == 0, is_recorded = model_softmax(x.items, n, nodes);
    for (int i = 0; i < n && is_evaluated; i++) nodes[i] = evaluated(nodes[i]);
    int result = (is_evaluated ? softmax_evaluate : softmax)(&tape, x.places, (size_t)n, out);
    keep_all(result, out, is_recorded, nodes, n);
}

static void record_cross_entropy(void) {
    int n = 1 + below(4), target = below(n);
    Items x = take_items(n, 0);
    int is_evaluated = below(4) == 0, node = model_cross_entropy(x.items, n, target);
    Index place = (is_evaluated ? cross_entropy_evaluate : cross_entropy)(&tape, x.places, (size_t)n, (size_t)target);
    keep(place, is_evaluated ? evaluated(node) : node);
}

// -----------------------------------------------------------------------------
// a network

static void forget_network(void) {
    nlayers = 0;
    drop_all(&parameters);
}

// some of its parameters may be nodes that are there already, leaves or not, or be there twice
static void make_network(void) {
    static const uint8_t functions[] = {OP_TANH, OP_RELU, OP_LEAF};
    forget_network();
    nlayers = (size_t)(1 + below(MOST_LAYERS));
    for (size_t l = 0; l <= nlayers; l++) sizes[l] = (uint32_t)(1 + below(3));
    for (size_t l = 0; l < nlayers; l++) activations[l] = functions[below(3)];
    int n = (int)mlp_parameters(&(MLP){.nlayers = nlayers, .sizes = sizes}), is_shared = below(4) == 0;
    for (int i = 0; i < n; i++) {
        if (is_shared && below(2)) {
            const Handle *one = handle();
            hold(&parameters, one->place, one->node);
            continue;
        }
        double data = (i * 7 % 5 - 2) * 0.3;
        Index place = tape_leaf(&tape, data);
        if (!place) {
            forget_network();
            return;
        }
        hold(&parameters, place, model_leaf(data));
    }
}

static void call_network(void) {
    if (!nlayers) return;
    Index places[MOST_HANDLES], out[MOST_OPERANDS];
    int nodes[MOST_HANDLES], results[MOST_OPERANDS], n = (int)sizes[nlayers];
    MLP mlp = {nlayers, sizes, activations, places};
    places_of(&parameters, places);
    nodes_of(&parameters, nodes);
    Items x = take_items((int)sizes[0], 1);
    int is_evaluated = below(4) == 0, is_recorded = model_mlp(&mlp, nodes, x.items, results);
    for (int i = 0; i < n && is_evaluated; i++) results[i] = evaluated(results[i]);
    int result = (is_evaluated ? mlp_evaluate : mlp_call)(&tape, &mlp, x.places, x.numbers, out);
    keep_all(result, out, is_recorded, results, n);
}

static void record_loss(void) {
    if (!nlayers) return;
    Index places[MOST_HANDLES];
    int nodes[MOST_HANDLES], n = 1 + below(MOST_POINTS);
    int32_t labels[MOST_POINTS];
    MLP mlp = {nlayers, sizes, activations, places};
    places_of(&parameters, places);
    nodes_of(&parameters, nodes);
    Items x = take_items(n * (int)sizes[0], 1);
    for (int i = 0; i < n; i++) labels[i] = below((int)sizes[nlayers]);
    int is_evaluated = below(4) == 0, node = model_mean_cross_entropy(&mlp, nodes, x.items, labels, n);
    Index place = (is_evaluated ? mean_cross_entropy_evaluate : mean_cross_entropy)(&tape, &mlp, x.places, x.numbers,
                                                                                    labels, (size_t)n);
    keep(place, is_evaluated ? evaluated(node) : node);
}

// -----------------------------------------------------------------------------
// an optimiser

static void forget_optimiser(void) {
    drop_all(&optimised);
}

// over leaves, one of them perhaps twice
static void make_optimiser(void) {
    Index places[MOST_HANDLES];
    const Handles *some = below(2) && parameters.n ? &parameters : &handles;
    forget_optimiser();
    for (int n = below(MOST_OPERANDS); n > 0; n--) {
        const Handle *one = &some->at[below(some->n)];
        if (twin(one->node)->op == OP_LEAF) hold(&optimised, one->place, one->node);
    }
    places_of(&optimised, places);
    adamw = (AdamW){.lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = below(4) ? 1e-8 : 0.0, .weight_decay = 0.01};
    int result = adam_init(&tape, places, (size_t)optimised.n);
    MUST(result == 0 || is_out_of_memory());
    for (int i = 0; i < optimised.n; i++) {  // without memory only some have got moments
        Twin *p = twin(optimised.at[i].node);
        if (result == 0 || (tape.nodes[places[i]].a && !p->has_moments)) p->m = p->v = 0.0;
        p->has_moments = tape.nodes[places[i]].a != 0;
    }
    if (result < 0) forget_optimiser();
}

static void step_adamw(void) {
    Index places[MOST_HANDLES];
    int nodes[MOST_HANDLES];
    AdamW before = adamw;
    places_of(&optimised, places);
    nodes_of(&optimised, nodes);
    int result = adamw_step(&tape, &adamw, places, (size_t)optimised.n);
    MUST(adamw.t == before.t + (result == 0));
    if (result < 0 && is_out_of_memory()) return;
    agree(result, model_adamw_step(&before, nodes, optimised.n));
}

static void step_sgd(void) {
    Index places[MOST_HANDLES];
    places_of(&optimised, places);
    sgd_step(&tape, 0.5, places, (size_t)optimised.n);
    for (int i = 0; i < optimised.n; i++) {
        Twin *p = twin(optimised.at[i].node);
        p->data -= 0.5 * p->grad;
    }
}

static void forget_gradients(void) {
    Index places[MOST_HANDLES];
    places_of(&parameters, places);
    zero_grad(&tape, places, (size_t)parameters.n);
    for (int i = 0; i < parameters.n; i++) twin(parameters.at[i].node)->grad = 0.0;
}

// -----------------------------------------------------------------------------
// passes, and numbers set between them

static void backward(void) {
    const Handle *root = handle();
    int result = tape_backward(&tape, root->place);
    if (result < 0 && is_out_of_memory()) return;
    agree(result, model_backward(root->node, 0));
}

static void forward(void) {
    const Handle *root = handle();
    int result = tape_forward(&tape, root->place);
    if (result < 0 && is_out_of_memory()) return;
    agree(result, model_forward(root->node, 0));
}

// both passes again and again, as in training; now and then what they go over changes
static void replay(void) {
    const Handle *root = handle(), *changed = handle();
    for (int times = 1 + below(4); times > 0; times--) {
        int result = tape_forward(&tape, root->place);
        if (result < 0 && is_out_of_memory()) return;
        agree(result, model_forward(root->node, 0));
        int what = below(8);
        if (what < 2) *tape_data(&tape, changed->place) = twin(changed->node)->data = number();
        if (what > 4) continue;
        result = tape_backward(&tape, root->place);
        if (result < 0 && is_out_of_memory()) return;
        agree(result, model_backward(root->node, 0));
    }
}

static void set_data(void) {
    const Handle *one = handle();
    *tape_data(&tape, one->place) = twin(one->node)->data = number();
}

static void set_gradient(void) {
    const Handle *one = handle();
    *tape_grad(&tape, one->place) = twin(one->node)->grad = number();
}

static void run_rule(void) {
    const Handle *one = handle();
    agree(node_backward(&tape, one->place), model_rule(one->node));
}

static void settle_all(void) {
    tape_settle(&tape);
}

// -----------------------------------------------------------------------------
// nodes with functions of the user's, and passes over them as user_passes.c makes them

static void set_function(void) {
    const Handle *one = handle();
    int on = below(4) != 0;
    tape_set_function(&tape, one->place, on);
    twin(one->node)->has_function = on;
}

// of an operand, which other roots may be above, too
static void set_function_below(void) {
    Index operands[MOST_OPERANDS];
    const Handle *user = handle();
    int n = (int)tape_operands(&tape, user->place, operands);
    if (n == 0) return;
    int i = below(n), on = below(4) != 0;
    tape_set_function(&tape, operands[i], on);
    twin(twin(user->node)->operands[i])->has_function = on;
}

static Index own_order[2 * MOST_TWINS];  // a user node's list is on the tape, too
static struct {
    double data, grad;
} own_saved[2 * MOST_TWINS];

// returns how many nodes there are, 0 without memory
static size_t own_walk(Index root, int is_forward) {
    size_t n = tape_walk(&tape, root, is_forward);
    MUST(n > 0 || is_out_of_memory());
    MUST(n <= sizeof own_order / sizeof *own_order);
    tape_settle(&tape);
    for (size_t k = 0; k < n; k++) {
        own_order[k] = tape.order[k];
        own_saved[k].data = tape.data[own_order[k]];
        own_saved[k].grad = tape.grad[own_order[k]];
    }
    return n;
}

static int own_restore(size_t n) {
    for (size_t k = 0; k < n; k++) {
        tape.data[own_order[k]] = own_saved[k].data;
        tape.grad[own_order[k]] = own_saved[k].grad;
    }
    return -1;
}

static void own_backward(void) {
    const Handle *root = handle();
    size_t n = own_walk(root->place, 0);
    if (!n) return;
    Index operands[MOST_OPERANDS];
    ptrdiff_t k = (ptrdiff_t)n;
    tape.grad[root->place] = 1.0;
    while ((k = tape_backward_until(&tape, own_order, k)) >= 0) {
        size_t count = tape_operands(&tape, own_order[k], operands);
        for (size_t i = 0; i < count; i++) {
            tape.grad[operands[i]] += 2.0 * tape.grad[own_order[k]];
        }
    }
    agree(k == -2 ? own_restore(n) : 0, model_backward(root->node, 1));
}

static void own_forward(void) {
    const Handle *root = handle();
    size_t n = own_walk(root->place, 1);
    if (!n) return;
    Index operands[MOST_OPERANDS];
    ptrdiff_t k = 0, end = (ptrdiff_t)n;
    while ((k = tape_forward_until(&tape, own_order, k, end)) >= 0 && k < end) {
        double total = 0.0;
        size_t count = tape_operands(&tape, own_order[k], operands);
        for (size_t i = 0; i < count; i++) total += 0.5 * tape.data[operands[i]];
        tape.data[own_order[k++]] = total;
    }
    for (size_t j = 0; j < n && k == end; j++) {
        if (tape.nodes[own_order[j]].op != OP_LEAF) tape.grad[own_order[j]] = 0.0;
    }
    agree(k == -2 ? own_restore(n) : 0, model_forward(root->node, 1));
}

// -----------------------------------------------------------------------------
// recordings whose inputs change

static void free_recording_at(int r) {
    recording_free(&tape, &recordings[r].recording);
    recordings[r] = recordings[--nrecordings];
}

static void free_recording(void) {
    if (nrecordings) free_recording_at(below(nrecordings));
}

// the newest handle, if the last operation made one; its owner may let go of it
static const Handle *newest(int before) {
    return handles.n > before ? &handles.at[handles.n - 1] : NULL;
}

static void make_input(Recorded *recorded, Index *inputs) {
    ModelRecording *expected = &recorded->model;
    int before = handles.n;
    record_leaf();
    if (!newest(before) || expected->ninputs == MOST_INPUTS) return;
    inputs[expected->ninputs] = newest(before)->place;
    expected->inputs[expected->ninputs++] = newest(before)->node;
}

// one of the integers with this range; or a new one
static int find_integer(Recorded *recorded, int range) {
    for (int i = 0; i < recorded->nintegers && below(2); i++) {
        if (recorded->ranges[i] == range) return i;
    }
    recorded->ranges[recorded->nintegers] = range;
    recorded->integers[recorded->nintegers] = below(range);
    return recorded->nintegers++;
}

typedef struct Choosing {
    Index takes[MOST_ROW], items[MOST_OPERANDS];
} Choosing;

// the takes are handles, too
static void choose_row(Recorded *recorded, Choosing *choosing, const Index *places, const int *nodes, int n,
                       int width) {
    ModelRecording *expected = &recorded->model;
    if (recorded->nintegers == MOST_CHOICES || expected->nchoices == MOST_CHOICES) return;
    ModelChoice *choice = &expected->choices[expected->nchoices];
    *choice = (ModelChoice){.integer = find_integer(recorded, n), .width = width, .n = n};
    memcpy(choice->items, nodes, (size_t)(n * width) * sizeof *nodes);
    memcpy(choosing[expected->nchoices].items, places, (size_t)(n * width) * sizeof *places);
    for (int j = 0; j < width; j++) {
        int before = handles.n, at = (int)recorded->integers[choice->integer] * width + j;
        keep(tape_unary(&tape, OP_TAKE, places[at]), model_unary(OP_TAKE, nodes[at]));
        if (!newest(before)) return;
        choosing[expected->nchoices].takes[j] = newest(before)->place;
        choice->takes[j] = newest(before)->node;
    }
    expected->nchoices++;
}

static void choose_handles(Recorded *recorded, Choosing *choosing) {
    int n = 1 + below(3), width = 1 + below(2), nodes[MOST_OPERANDS];
    Items x = take_items(n * width, 0);
    for (int k = 0; k < n * width; k++) nodes[k] = x.items[k].node;
    choose_row(recorded, choosing, x.places, nodes, n, width);
}

// -log(softmax(w @ x)[i]); i is an integer, and w has leaves side by side
static void record_chosen_loss(Recorded *recorded, Choosing *choosing) {
    enum { MOST_LOGITS = 3, MOST_IN = 2 };
    int nin = 1 + below(MOST_IN), n = 1 + below(MOST_LOGITS), first = handles.n, nodes[MOST_LOGITS], sum = 0;
    Items x = take_items(nin, 0);
    Item ex[MOST_OPERANDS], logits[MOST_LOGITS];
    Index out[MOST_LOGITS], w[MOST_LOGITS * MOST_IN], places[MOST_LOGITS], denom = 0;
    for (int k = 0; k < n * nin; k++) {
        double weight = (k * 7 % 5 - 2) * 0.3;
        keep(tape_leaf(&tape, weight), model_leaf(weight));
        if (handles.n != first + k + 1) return;
        w[k] = handles.at[first + k].place;
    }
    if (linear(&tape, x.places, NULL, (size_t)nin, w, NULL, (size_t)n, out) < 0) {
        MUST(is_out_of_memory());
        return;
    }
    for (int r = 0; r < n; r++) {
        Item row[MOST_IN];
        for (int k = 0; k < nin; k++) row[k].node = handles.at[first + r * nin + k].node;
        logits[r] = (Item){.node = model_dot((Item){0}, row, x.items, nin)};
    }
    int result = exponentials(&tape, out, (size_t)n, places, &denom);
    if (result < 0 && is_out_of_memory()) return;
    sum = model_exponentials(logits, n, ex);
    agree(result, sum ? 0 : -1);
    if (result < 0) return;
    int at = handles.n;
    keep(denom, sum);
    if (handles.n == at) return;
    for (int k = 0; k < n; k++) nodes[k] = ex[k].node;
    int before = handles.n;
    choose_row(recorded, choosing, places, nodes, n, 1);
    if (!newest(before)) return;
    const Handle *take = newest(before);
    keep(tape_div(&tape, take->place, denom), model_div(take->node, sum));
    if (!newest(before + 1)) return;
    const Handle *p = newest(before + 1);
    keep(tape_unary(&tape, OP_LOG, p->place), model_unary(OP_LOG, p->node));
}

// a recorded function: it may use handles from before it, and its nodes are handles after it
static void run_function(Recorded *recorded, Choosing *choosing, Index *inputs) {
    static void (*const operations[])(void) = {
        record_unary,    record_binary,   record_binary, record_with_number,
        record_composed, record_products, record_sum,    record_softmax,
    };
    for (int n = 1 + below(6); n > 0; n--) {
        int what = below(12);
        if (what == 0) make_input(recorded, inputs);
        if (what == 1 || what == 2) choose_handles(recorded, choosing);
        if (what == 3) record_chosen_loss(recorded, choosing);
        if (what > 3) operations[what - 4]();
    }
}

static void make_recording(void) {
    if (nrecordings == MOST_RECORDINGS) free_recording();
    while (handles.n > MOST_HANDLES / 2) drop(&handles, handles.n - 1);
    int first = handles.n, result = 0;
    Index outputs[MOST_OUTPUTS], inputs[MOST_INPUTS];
    Choosing choosing[MOST_CHOICES];
    Recorded *recorded = &recordings[nrecordings];
    ModelRecording *expected = &recorded->model;
    Recording *recording = &recorded->recording;
    *recorded = (Recorded){0};
    run_function(recorded, choosing, inputs);
    for (int n = 1 + below(MOST_OUTPUTS), i = handles.n; n > 0; n--) {  // mostly the last ones
        i = below(4) || i == 0 ? i - 1 : below(handles.n);
        if (i < 0 || twin(handles.at[i].node)->op == OP_LEAF) continue;
        outputs[expected->noutputs] = handles.at[i].place;
        expected->outputs[expected->noutputs++] = handles.at[i].node;
    }
    if (expected->noutputs == 0 || is_out_of_memory()) return;
    result = recording_start(&tape, recording, outputs, (size_t)expected->noutputs, inputs, (size_t)expected->ninputs);
    for (int c = 0; c < expected->nchoices && result == 0; c++) {
        const ModelChoice *choice = &expected->choices[c];
        result = recording_choice(&tape, recording, (size_t)choice->integer, choosing[c].takes, (size_t)choice->width,
                                  choosing[c].items, (size_t)choice->n);
    }
    if (result == 0) result = recording_end(&tape, recording);
    MUST(result == 0 || is_out_of_memory());
    if (result < 0) {
        recording_free(&tape, recording);
        return;
    }
    nrecordings++;
    for (int n = below(4); n > 0 && handles.n > first; n--) drop(&handles, first + below(handles.n - first));
}

// call one of them several times, sometimes without a pass, or with an integer out of range
static void call_recording(void) {
    if (nrecordings == 0) return;
    Recorded *recorded = &recordings[below(nrecordings)];
    ModelRecording *expected = &recorded->model;
    Recording *recording = &recorded->recording;
    for (int times = 1 + below(4); times > 0; times--) {
        double numbers[MOST_INPUTS];
        int64_t integers[MOST_CHOICES];
        int what = below(16);
        for (int k = 0; k < expected->ninputs; k++) numbers[k] = number();
        for (int k = 0; k < recorded->nintegers; k++) integers[k] = below(recorded->ranges[k] + (what == 0));
        int result = recording_set(&tape, recording, numbers, integers);
        agree(result, model_recording_set(expected, numbers, integers));
        if (result < 0 || what == 1) continue;
        if (what == 2) {
            recording_undo(&tape, recording);
            model_recording_undo(expected);
            continue;
        }
        result = recording_forward(&tape, recording);
        int is_without_memory = result < 0 && is_out_of_memory();
        if (!is_without_memory) agree(result, model_recording_forward(expected));
        if (result < 0) {
            recording_undo(&tape, recording);
            model_recording_undo(expected);
        }
        if (is_without_memory) return;
        if (what == 3) set_data();
        if (what < 6) continue;
        result = tape_backward(&tape, recording->outputs[0]);
        if (result < 0 && is_out_of_memory()) return;
        agree(result, model_backward(expected->outputs[0], 0));
    }
}

// -----------------------------------------------------------------------------
// programs

// an arena without fresh places, and no room for walks: the next call has to ask for memory
static void shrink(void) {
    if (tape.used) MUST(arena_resize(&tape, tape.used));
    free(tape.order);
    free(tape.saved);
    tape.order = NULL;
    tape.saved = NULL;
    tape.room = 0;
}

// an arena that shrinks as soon as fewer nodes live
static void trim_soon(void) {
    tape.trim_below = tape.live;
}

static void (*const instructions[])(void) = {
    record_leaf,
    record_unary,
    record_unary,
    record_binary,
    record_binary,
    record_with_number,
    record_composed,
    record_pow,
    record_user_node,
    record_products,
    record_sum,
    record_softmax,
    record_cross_entropy,
    make_network,
    call_network,
    record_loss,
    record_loss,
    make_optimiser,
    step_adamw,
    step_sgd,
    forget_gradients,
    backward,
    backward,
    forward,
    forward,
    replay,
    replay,
    set_data,
    set_data,
    set_gradient,
    run_rule,
    own_backward,
    own_forward,
    set_function,
    watch,
    hold_operand,
    drop_handle,
    drop_handle,
    unwatch,
    hand_out,
    hold_watched,
    set_function_below,
};

// the instructions, by number
enum { FIRST_OF_RECORDINGS = 210 };
static void (*const of_recordings[])(void) = {
    make_recording, call_recording, call_recording, free_recording, call_recording, make_recording,
};

// with these nothing can fail
static void (*const others[])(void) = {compare,    let_all_unused_go, shrink,        trim_soon,
                                       settle_all, forget_optimiser,  forget_network};

static void run_instruction(void) {
    int how = byte();
    if (how % 8 == 7) {
        others[(how / 8) % (int)(sizeof others / sizeof *others)]();
        return;
    }
    failed = allocations = 0;
    first_fails = how % 8 == 6 ? how / 8 % 4 : LONG_MAX;  // one fails, or all from there on
    last_fails = how / 32 % 2 ? LONG_MAX : first_fails;
    tape.fault = (Fault){0};
    is_armed = 1;
    unsigned which = byte();
    if (which < FIRST_OF_RECORDINGS) {
        instructions[which % (sizeof instructions / sizeof *instructions)]();
    } else {
        of_recordings[(which - FIRST_OF_RECORDINGS) % (sizeof of_recordings / sizeof *of_recordings)]();
    }
    is_armed = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    long before = outstanding;
    next_byte = bytes;
    last_byte = bytes + size;
    model.n = model.marks = 0;
    tape_init(&tape);
    while (next_byte < last_byte && model.n < MOST_TWINS - MOST_AT_ONCE) {
        if (handles.n == 0) record_leaf();
        run_instruction();
        if (watched.n) check_watched();
    }
    compare();
    while (nrecordings > 1) free_recording_at(0);  // the last one is freed after the handles
    drop_all(&handles);
    if (nrecordings) free_recording_at(0);
    forget_network();
    forget_optimiser();
    let_all_unused_go();
    while (watched.n) {  // never used, or returned by tape_unused before
        int i = 0;
        while (i < watched.n && tape.nodes[watched.at[i].place].refs) i++;
        MUST(i < watched.n);
        unwatch_at(i);
        let_all_unused_go();
    }
    MUST(tape_is_whole(&tape, NULL));
    MUST(tape.live == 0 && tape.watched == 0 && tape.nunused == 0 && tape.scheduled == 0 && tape.kept == 0
         && !tape.held);
    tape_free(&tape);
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
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    printf("%d programs, no difference\n", argc - 1);
    return 0;
}

#endif

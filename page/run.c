// The training run: the course's network, data and optimiser, with other sizes and rates if wanted.

#include <math.h>
#include <string.h>
#include "page.h"

typedef struct Split {
    Index x[MOST_POINTS * INPUTS];  // all 0: every point's inputs are fresh leaves
    double numbers[MOST_POINTS * INPUTS];
    int32_t labels[MOST_POINTS];
    size_t n;
} Split;

enum { ADAMW, ADAM, SGD };
enum { SIMPLE, CIRCLES, YINYANG };

static struct {
    int is_started;
    Tape tape;
    MLP model;
    uint32_t hidden[MOST_LAYERS - 1], sizes[MOST_LAYERS + 1];
    uint8_t activations[MOST_LAYERS];
    Index parameters[MOST_PARAMETERS];
    double numbers[MOST_PARAMETERS], gradients[MOST_PARAMETERS];
    Point points[MOST_POINTS];
    Split train, val;
    int kind;
    Adam adam;
    Index loss;  // of the training points, recorded once and computed again in each step; 0: not yet
    double last_loss;
    float surface[SURFACE * SURFACE * CLASSES];
    float maps[(MOST_LAYERS - 1) * MOST_NEURONS * MAP * MAP];
} run;  // all 0 at first: then it takes no room in the page

static int failed(void) {
    page_failed(&run.tape);
    return -1;
}

uint32_t *run_hidden(void) {
    return run.hidden;
}

Point *run_points(void) {
    return run.points;
}

// -----------------------------------------------------------------------------
// start

static void forget_loss(void) {
    if (run.loss) tape_release(&run.tape, run.loss);
    run.loss = 0;
}

static void split_init(Split *split, const Point *points, size_t n) {
    for (size_t i = 0; i < n; i++) {
        memcpy(split->numbers + i * INPUTS, points[i].x, sizeof points[i].x);
        split->labels[i] = points[i].label;
    }
    split->n = n;
}

int run_set_points(int ntrain, int nval) {
    split_init(&run.train, run.points, (size_t)ntrain);
    split_init(&run.val, run.points + ntrain, (size_t)nval);
    forget_loss();
    return 0;
}

int run_start(uint64_t seed, int data_set, int n, int nhidden, int activation) {
    if (run.is_started) tape_free(&run.tape);
    tape_init(&run.tape);
    run.is_started = 1;
    run.loss = 0;

    // random = RNG(seed)
    // train, val, test = gen_data(random, n)
    RNG random;
    rng_init(&random, seed);
    if (data_set == SIMPLE) gen_data(&random, run.points, (size_t)n);
    if (data_set == CIRCLES) gen_data_circles(&random, run.points, (size_t)n);
    if (data_set == YINYANG) gen_data_yinyang(&random, run.points, (size_t)n, 0.1, 0.5);
    int n1 = (int)(0.8 * n), n2 = (int)(0.9 * n);
    run_set_points(n1, n2 - n1);

    // model = MLP(2, [*hidden, 3])
    // optimizer = AdamW(model.parameters(), ...)
    run.sizes[0] = INPUTS;
    for (int l = 0; l < nhidden; l++) run.sizes[l + 1] = run.hidden[l];
    run.sizes[nhidden + 1] = CLASSES;
    memset(run.activations, activation, (size_t)nhidden);
    run.activations[nhidden] = OP_LEAF;
    run.model = (MLP){(size_t)nhidden + 1, run.sizes, run.activations, run.parameters};
    run.adam.t = 0;
    memset(run.gradients, 0, sizeof run.gradients);
    if (mlp_init(&run.tape, &run.model, &random) < 0) return failed();
    return adam_init(&run.tape, run.parameters, mlp_parameters(&run.model)) < 0 ? failed() : 0;
}

// Another kind of optimiser begins anew, without the moments of the one before.
void run_set_optimizer(int kind, double lr, double beta1, double beta2, double eps, double weight_decay) {
    if (kind != run.kind && run.is_started) {
        adam_init(&run.tape, run.parameters, mlp_parameters(&run.model));
        run.adam.t = 0;
    }
    run.kind = kind;
    run.adam = (Adam){lr, beta1, beta2, eps, weight_decay, run.adam.t};
}

// -----------------------------------------------------------------------------
// a step

static int optimizer_step(size_t n) {
    if (run.kind == ADAMW) return adamw_step(&run.tape, &run.adam, run.parameters, n);
    if (run.kind == ADAM) return adam_step(&run.tape, &run.adam, run.parameters, n);
    sgd_step(&run.tape, run.adam.lr, run.parameters, n);
    return 0;
}

// loss = mean_cross_entropy(model, train)
static int record_loss(void) {
    const Split *train = &run.train;
    run.loss = mean_cross_entropy(&run.tape, &run.model, train->x, train->numbers, train->labels, train->n);
    if (!run.loss) return -1;
    tape_hold(&run.tape, run.loss);
    return 0;
}

// loss.forward()
// loss.backward()
// optimizer.step()
// optimizer.zero_grad()
int run_step(void) {
    Tape *tape = &run.tape;
    size_t n = mlp_parameters(&run.model);
    if (run.loss ? tape_forward(tape, run.loss) : record_loss()) return failed();
    run.last_loss = tape->data[run.loss];
    if (tape_backward(tape, run.loss)) return failed();
    for (size_t i = 0; i < n; i++) run.gradients[i] = *tape_grad(tape, run.parameters[i]);
    if (optimizer_step(n)) return failed();
    zero_grad(tape, run.parameters, n);
    return 0;
}

double run_loss(void) {
    return run.last_loss;
}

static double evaluate(const Index *x, const double *numbers, const int32_t *labels, size_t n) {
    Index loss = mean_cross_entropy_evaluate(&run.tape, &run.model, x, numbers, labels, n);
    if (!loss) return NAN;
    double number = run.tape.data[loss];
    tape_discard(&run.tape, loss);
    return number;
}

double run_evaluate(int val) {
    const Split *split = val ? &run.val : &run.train;
    return split->n ? evaluate(split->x, split->numbers, split->labels, split->n) : NAN;
}

double run_point_loss(double x, double y, int label) {
    static const Index none[INPUTS];
    const double numbers[INPUTS] = {x, y};
    const int32_t labels[] = {label};
    return evaluate(none, numbers, labels, 1);
}

// -----------------------------------------------------------------------------
// what the network is now

int run_nparameters(void) {
    return (int)mlp_parameters(&run.model);
}

const double *run_parameters(void) {
    size_t n = mlp_parameters(&run.model);
    for (size_t i = 0; i < n; i++) run.numbers[i] = *tape_data(&run.tape, run.parameters[i]);
    return run.numbers;
}

const double *run_gradients(void) {
    return run.gradients;
}

MLP run_model(Index *parameters) {
    MLP model = run.model;
    model.parameters = parameters;
    return model;
}

// the outputs at (x, y) of the first nlayers layers, as numbers; 0, or -1
static int outputs_at(size_t nlayers, double x, double y, int as_probabilities, double *numbers) {
    static const Index none[INPUTS];
    double inputs[INPUTS] = {x, y};
    MLP first = {nlayers, run.sizes, run.activations, run.parameters};
    size_t n = run.sizes[nlayers];
    Index out[MOST_NEURONS], likely[CLASSES];
    if (mlp_evaluate(&run.tape, &first, none, inputs, out)) return failed();
    int result = as_probabilities ? softmax_evaluate(&run.tape, out, n, likely) : 0;
    for (size_t i = 0; i < n; i++) {
        if (result == 0) numbers[i] = run.tape.data[as_probabilities ? likely[i] : out[i]];
        if (result == 0 && as_probabilities) tape_discard(&run.tape, likely[i]);
        tape_discard(&run.tape, out[i]);
    }
    return result ? failed() : 0;
}

double run_accuracy(int val) {
    const Split *split = val ? &run.val : &run.train;
    double share;
    if (split->n == 0) return NAN;
    return accuracy(&run.tape, &run.model, split->x, split->numbers, split->labels, split->n, &share) ? NAN : share;
}

static double at(int i, int n, double half) {
    return half * (2.0 * i + 1 - n) / n;
}

const float *run_surface(int n, double half) {
    float *out = run.surface;
    for (int row = 0; row < n; row++) {
        for (int column = 0; column < n; column++) {
            double likely[CLASSES] = {0};
            outputs_at(run.model.nlayers, at(column, n, half), -at(row, n, half), 1, likely);
            for (int c = 0; c < CLASSES; c++) *out++ = (float)likely[c];
        }
    }
    return run.surface;
}

const float *run_maps(double half) {
    float *layer = run.maps;
    for (size_t l = 1; l < run.model.nlayers; l++) {
        for (int k = 0; k < MAP * MAP; k++) {
            double outputs[MOST_NEURONS] = {0};
            outputs_at(l, at(k % MAP, MAP, half), -at(k / MAP, MAP, half), 0, outputs);
            for (uint32_t i = 0; i < run.sizes[l]; i++) layer[i * MAP * MAP + (uint32_t)k] = (float)outputs[i];
        }
        layer += run.sizes[l] * MAP * MAP;
    }
    return run.maps;
}

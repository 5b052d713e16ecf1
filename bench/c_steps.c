// The course's training step as a C program takes it, with micrograd's library.
//
//     c_steps fresh|replay STEPS SECONDS
//
// fresh records the loss anew in each step, as csrc/main.c does; replay records it once and
// goes forward and backward over it. It prints what by_hand prints: the loss of each of the
// first STEPS steps, and then, from steps repeated for so many seconds, how long one takes.

#include "timing.h"
#include <string.h>
#include "micrograd.h"

enum { POINTS = 100, TRAIN = 80, INPUTS = 2, HIDDEN = 16, CLASSES = 3 };
enum { PARAMETERS = HIDDEN * (INPUTS + 1) + CLASSES * (HIDDEN + 1) };

static const uint32_t sizes[] = {INPUTS, HIDDEN, CLASSES};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};

static Tape tape;
static Index parameters[PARAMETERS];
static const MLP model = {2, sizes, activations, parameters};
static AdamW optimizer;
static const Index x[TRAIN * INPUTS];  // all 0: every point's inputs are fresh leaves
static double numbers[TRAIN * INPUTS];
static int32_t labels[TRAIN];
static int replay;                     // whether the loss is recorded only once
static Index recording;                // which it is then; else 0

static void must(int good) {
    if (good) return;
    fprintf(stderr, "c_steps: this cannot be computed\n");
    exit(EXIT_FAILURE);
}

static Index record(void) {
    Index loss = mean_cross_entropy(&tape, &model, x, numbers, labels, TRAIN);
    must(loss != 0);
    tape_hold(&tape, loss);
    return loss;
}

static void start(void) {
    RNG random;
    Point points[POINTS];
    MLP fresh = model;
    tape_free(&tape);
    rng_init(&random, 42);
    gen_data(&random, points, POINTS);
    for (int i = 0; i < TRAIN; i++) {
        memcpy(numbers + i * INPUTS, points[i].x, sizeof points[i].x);
        labels[i] = points[i].label;
    }
    optimizer = (AdamW){.lr = 1e-1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 1e-4};
    must(mlp_init(&tape, &fresh, &random) == 0 && adam_init(&tape, parameters, PARAMETERS) == 0);
    recording = replay ? record() : 0;
}

static double step(void) {
    Index loss = recording ? recording : record();
    if (recording) must(tape_forward(&tape, loss) == 0);
    must(tape_backward(&tape, loss) == 0 && adamw_step(&tape, &optimizer, parameters, PARAMETERS) == 0);
    zero_grad(&tape, parameters, PARAMETERS);
    double data = tape.data[loss];
    if (!recording) tape_release(&tape, loss);
    return data;
}

int main(int argc, char **argv) {
    if (argc != 4 || (strcmp(argv[1], "fresh") && strcmp(argv[1], "replay"))) return 2;
    replay = !strcmp(argv[1], "replay");
    print_steps(atoi(argv[2]), atof(argv[3]), start, step);
    tape_free(&tape);
    return 0;
}

// What a step of AdamW takes in C, over as many parameters as microgpt has: the twin of AdamW in
// loops.py.
//
//     adamw STEPS SECONDS
//
// prints one of the parameters after each of the first STEPS steps, and then, from steps repeated
// for so many seconds, how long one takes.

#include "timing.h"
#include "micrograd.h"

enum { PARAMETERS = 4192 };

static Tape tape;
static Index parameters[PARAMETERS];
static AdamW optimizer;

static void must(int good) {
    if (good) return;
    fprintf(stderr, "adamw: this cannot be computed\n");
    exit(EXIT_FAILURE);
}

static void start(void) {
    RNG random;
    tape_free(&tape);
    rng_init(&random, 42);
    for (int i = 0; i < PARAMETERS; i++) {
        parameters[i] = tape_leaf(&tape, rng_uniform(&random, -1.0, 1.0));
        must(parameters[i] != 0);
        tape_hold(&tape, parameters[i]);
        tape.grad[parameters[i]] = rng_uniform(&random, -0.1, 0.1);
    }
    optimizer = (AdamW){.lr = 1e-1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 1e-4};
    must(adam_init(&tape, parameters, PARAMETERS) == 0);
}

static double step(void) {
    must(adamw_step(&tape, &optimizer, parameters, PARAMETERS) == 0);
    return tape.data[parameters[(int)optimizer.t]];
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    tape_init(&tape);
    print_steps(atoi(argv[1]), atof(argv[2]), start, step);
    tape_free(&tape);
    return 0;
}

// The course's training run as a C program: it prints what `python -m micrograd` prints.
//
//     make -C csrc && csrc/micrograd

#include <stdio.h>
#include <stdlib.h>
#include "micrograd.h"

enum { POINTS = 100, INPUTS = 2, HIDDEN = 16, CLASSES = 3, STEPS = 100 };

static const uint32_t sizes[] = {INPUTS, HIDDEN, CLASSES};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};
enum { PARAMETERS = HIDDEN * (INPUTS + 1) + CLASSES * (HIDDEN + 1) };

// a part of the data set, as mean_cross_entropy takes it
typedef struct Split {
    Index x[POINTS * INPUTS];  // all 0: every point's inputs are fresh leaves
    double numbers[POINTS * INPUTS];
    int32_t labels[POINTS];
    size_t n;
} Split;

static void split_init(Split *split, const Point *from, const Point *to) {
    *split = (Split){.n = (size_t)(to - from)};
    for (size_t i = 0; i < split->n; i++) {
        for (size_t k = 0; k < INPUTS; k++) split->numbers[i * INPUTS + k] = from[i].x[k];
        split->labels[i] = from[i].label;
    }
}

// the model's loss over a split, a node that the caller holds; with a graph, or only its number
static Index loss_hold(Tape *tape, const MLP *model, const Split *split, int with_graph) {
    Index loss = (with_graph ? mean_cross_entropy : mean_cross_entropy_evaluate)(tape, model, split->x, split->numbers,
                                                                                 split->labels, split->n);
    if (!loss) {
        fprintf(stderr, "micrograd: the loss cannot be computed\n");
        exit(EXIT_FAILURE);
    }
    tape_hold(tape, loss);
    return loss;
}

int main(void) {
    Tape tape;
    tape_init(&tape);

    // random = RNG(42)
    // train, val, test = gen_data(random, n=100)
    RNG random;
    rng_init(&random, 42);
    Point points[POINTS];
    gen_data(&random, points, POINTS);
    const int n1 = (int)(0.8 * (double)POINTS), n2 = (int)(0.9 * (double)POINTS);
    static Split train, val;
    split_init(&train, points, points + n1);
    split_init(&val, points + n1, points + n2);

    // model = MLP(2, [16, 3])
    // optimizer = AdamW(model.parameters(), lr=1e-1, weight_decay=1e-4)
    Index parameters[PARAMETERS];
    MLP model = {2, sizes, activations, parameters};
    AdamW optimizer = {.lr = 1e-1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 1e-4};
    if (mlp_init(&tape, &model, &random) < 0 || adam_init(&tape, parameters, PARAMETERS) < 0) {
        fprintf(stderr, "micrograd: out of memory\n");
        return EXIT_FAILURE;
    }

    for (int step = 0; step < STEPS; step++) {
        if (step % 10 == 0) {
            Index loss = loss_hold(&tape, &model, &val, 0);
            printf("step %d, val loss %.6f\n", step, tape.data[loss]);
            tape_release(&tape, loss);
        }
        Index loss = loss_hold(&tape, &model, &train, 1);
        if (tape_backward(&tape, loss) < 0 || adamw_step(&tape, &optimizer, parameters, PARAMETERS) < 0) {
            fprintf(stderr, "micrograd: step %d cannot be computed\n", step);
            return EXIT_FAILURE;
        }
        zero_grad(&tape, parameters, PARAMETERS);
        char text[32];
        number_repr(tape.data[loss], text);
        printf("step %d, train loss %s\n", step, text);
        tape_release(&tape, loss);
    }

    tape_free(&tape);
    return EXIT_SUCCESS;
}

// What a node costs, by the size of the graph, where nothing but the tape works: the course's
// loss over so many points that the graph has about NODES nodes, recorded in one call.
//
//     c_nodes NODES REPEATS
//
// prints the loss and the 99 gradients, then how many nodes there are besides the parameters,
// and then how long each took: to build, to go backward over, to go forward over, to find the order of and to free;
// the median of REPEATS, in seconds.

#include "timing.h"
#include <string.h>
#include "micrograd.h"

enum { INPUTS = 2, HIDDEN = 16, CLASSES = 3, NODES_A_POINT = 198 };
enum { PARAMETERS = HIDDEN * (INPUTS + 1) + CLASSES * (HIDDEN + 1) };
enum { BUILD, BACKWARD, FORWARD, ORDER, FREE, PHASES };

static const uint32_t sizes[] = {INPUTS, HIDDEN, CLASSES};
static const uint8_t activations[] = {OP_TANH, OP_LEAF};

static void must(int good) {
    if (good) return;
    fprintf(stderr, "c_nodes: this cannot be computed\n");
    exit(EXIT_FAILURE);
}

// how long it is since the last call
static double lap(double *clock) {
    double before = *clock;
    *clock = now();
    return *clock - before;
}

static void *allocate(size_t n, size_t size) {
    void *room = calloc(n, size);
    must(room != NULL);
    return room;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t n = strtoul(argv[1], NULL, 10) / NODES_A_POINT, repeats = strtoul(argv[2], NULL, 10);

    Tape tape;
    tape_init(&tape);
    RNG random;
    rng_init(&random, 42);
    Point *points = allocate(n, sizeof *points);
    Index *x = allocate(n * INPUTS, sizeof *x);  // all 0: every point's inputs are fresh leaves
    double *numbers = allocate(n * INPUTS, sizeof *numbers);
    int32_t *labels = allocate(n, sizeof *labels);
    gen_data(&random, points, n);
    for (size_t i = 0; i < n; i++) {
        memcpy(numbers + i * INPUTS, points[i].x, sizeof points[i].x);
        labels[i] = points[i].label;
    }
    Index parameters[PARAMETERS];
    MLP model = {2, sizes, activations, parameters};
    must(mlp_init(&tape, &model, &random) == 0);

    size_t nodes = 0;
    double *seconds[PHASES];
    for (int phase = 0; phase < PHASES; phase++) seconds[phase] = allocate(repeats, sizeof(double));
    for (size_t i = 0; i < repeats; i++) {
        zero_grad(&tape, parameters, PARAMETERS);
        double clock = now();
        Index loss = mean_cross_entropy(&tape, &model, x, numbers, labels, n);
        must(loss != 0);
        tape_hold(&tape, loss);
        seconds[BUILD][i] = lap(&clock);
        must(tape_backward(&tape, loss) == 0);
        seconds[BACKWARD][i] = lap(&clock);
        if (i == 0) {
            printf("%.17g\n", tape.data[loss]);
            for (int k = 0; k < PARAMETERS; k++) printf("%.17g\n", tape.grad[parameters[k]]);
        }
        lap(&clock);
        must(tape_forward(&tape, loss) == 0);
        seconds[FORWARD][i] = lap(&clock);
        nodes = tape_walk(&tape, loss, 0) - PARAMETERS;
        seconds[ORDER][i] = lap(&clock);
        tape_release(&tape, loss);
        seconds[FREE][i] = lap(&clock);
    }
    printf("%zu\n", nodes);
    for (int phase = 0; phase < PHASES; phase++) {
        printf("%.17g\n", median(seconds[phase], repeats) / (double)nodes);
        free(seconds[phase]);
    }
    tape_free(&tape);
    free(points);
    free(x);
    free(numbers);
    free(labels);
    return 0;
}

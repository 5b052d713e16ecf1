// The course's training step with its backward pass derived by hand: no tape, no graph,
// a few loops over arrays. It is the limit that the engines are measured against.
//
//     by_hand STEPS SECONDS
//
// prints the loss of each of the first STEPS steps, and then, from steps repeated for so
// many seconds, how long one takes: the median of batches, in seconds.

#include "timing.h"
#include <math.h>
#include "micrograd.h"

enum { POINTS = 100, TRAIN = 80, HIDDEN = 16, CLASSES = 3 };

// the parameters, in the order of micrograd's: per neuron the weights, then the bias
typedef struct Parameters {
    double hidden[HIDDEN][3];
    double output[CLASSES][HIDDEN + 1];
} Parameters;

enum { COUNT = sizeof(Parameters) / sizeof(double) };

typedef union Vector {
    Parameters named;
    double all[COUNT];
} Vector;

static Point points[POINTS];
static Vector p, g, m, v;
static int t;

static void start(void) {
    RNG rng;
    rng_init(&rng, 42);
    gen_data(&rng, points, POINTS);
    p = g = m = v = (Vector){.all = {0}};
    t = 0;
    for (int i = 0; i < HIDDEN; i++) {
        for (int k = 0; k < 2; k++) p.named.hidden[i][k] = rng_uniform(&rng, -1, 1) * pow(2, -0.5);
    }
    for (int i = 0; i < CLASSES; i++) {
        for (int k = 0; k < HIDDEN; k++) p.named.output[i][k] = rng_uniform(&rng, -1, 1) * pow(HIDDEN, -0.5);
    }
}

// add one point's gradients, and return its cross-entropy
static double point_loss(const Point *point) {
    double h[HIDDEN], logits[CLASSES], dh[HIDDEN] = {0}, sum = 0;
    for (int i = 0; i < HIDDEN; i++) {
        const double *w = p.named.hidden[i];
        h[i] = tanh(w[2] + w[0] * point->x[0] + w[1] * point->x[1]);
    }
    double largest = -INFINITY;
    for (int i = 0; i < CLASSES; i++) {
        const double *w = p.named.output[i];
        double act = w[HIDDEN];
        for (int k = 0; k < HIDDEN; k++) act += w[k] * h[k];
        logits[i] = act;
        if (act > largest) largest = act;
    }
    double ex[CLASSES];
    for (int i = 0; i < CLASSES; i++) sum += ex[i] = exp(logits[i] - largest);
    // d loss / d logit = (probability - 1 for the right class) / number of points
    for (int i = 0; i < CLASSES; i++) {
        double d = (ex[i] / sum - (i == point->label)) / TRAIN;
        double *dw = g.named.output[i];
        const double *w = p.named.output[i];
        for (int k = 0; k < HIDDEN; k++) {
            dw[k] += d * h[k];
            dh[k] += d * w[k];
        }
        dw[HIDDEN] += d;
    }
    for (int i = 0; i < HIDDEN; i++) {
        double d = dh[i] * (1 - h[i] * h[i]), *dw = g.named.hidden[i];
        dw[0] += d * point->x[0];
        dw[1] += d * point->x[1];
        dw[2] += d;
    }
    return -log(ex[point->label] / sum);
}

static void adamw(void) {
    t++;
    double bias1 = 1 - pow(0.9, t), bias2 = 1 - pow(0.95, t);
    for (int i = 0; i < COUNT; i++) {
        m.all[i] = 0.9 * m.all[i] + (1 - 0.9) * g.all[i];
        v.all[i] = 0.95 * v.all[i] + (1 - 0.95) * g.all[i] * g.all[i];
        double update = m.all[i] / bias1 / (sqrt(v.all[i] / bias2) + 1e-8);
        p.all[i] -= 0.1 * (update + 1e-4 * p.all[i]);
        g.all[i] = 0;
    }
}

static double step(void) {
    double total = 0;
    for (int i = 0; i < TRAIN; i++) total += point_loss(&points[i]);
    adamw();
    return total / TRAIN;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    print_steps(atoi(argv[1]), atof(argv[2]), start, step);
    return 0;
}

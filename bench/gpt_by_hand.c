// A training step of the small GPT of gpt.py with its backward pass derived by hand: no tape, no
// graph, loops over arrays whose sizes the compiler knows. It is the limit that the engines are
// measured against.
//
//     gpt_by_hand STEPS SECONDS
//
// prints what by_hand prints: the loss of each of the first STEPS steps, and then, from steps
// repeated for so many seconds, how long one takes.
//
// All positions of a word go through the network together. An array of activations has a row for
// each feature and in it a number for each position, so that the loops over positions, which have
// no sums in them, are what the compiler turns into vectors.

#include "timing.h"
#include <math.h>
#include <string.h>
#include "micrograd.h"

static const char *const words[] = {
    "almond", "banana", "carrot", "cashew", "celery", "cherry", "citrus", "endive", "fennel", "garlic",
    "ginger", "orange", "papaya", "pepper", "potato", "quince", "radish", "tomato", "turnip", "walnut",
};

enum { WORDS = sizeof words / sizeof *words, LETTERS = 6, TOKENS = 23, EDGE = TOKENS - 1 };
enum { POSITIONS = LETTERS + 1, ROW = 8 };  // a row of activations: the last is not used, and 0
enum { WIDTH = 16, HEADS = 4, SIZE = WIDTH / HEADS, UP = 4 * WIDTH };

// in the order of gpt.py's
typedef struct Parameters {
    double token[TOKENS][WIDTH], position[POSITIONS][WIDTH];
    double qkv[3 * WIDTH][WIDTH], o[WIDTH][WIDTH];
    double up[UP][WIDTH], down[WIDTH][UP], unembed[TOKENS][WIDTH];
} Parameters;

enum { COUNT = sizeof(Parameters) / sizeof(double) };

typedef union Vector {
    Parameters named;
    double all[COUNT];
} Vector;

static Vector p, g, m, v;
static int t;

// what the forward pass leaves for the backward pass
static double embedded[WIDTH][ROW], x0[WIDTH][ROW], x1[WIDTH][ROW];  // x1: into q, k and v
static double qkv[3 * WIDTH][ROW], attended[WIDTH][ROW], x2[WIDTH][ROW], x3[WIDTH][ROW];
static double up[UP][ROW], squared[UP][ROW], x4[WIDTH][ROW], logits[TOKENS][ROW];
static double scale0[ROW], scale1[ROW], scale3[ROW];
static double weights[HEADS][ROW][ROW];  // by query, then key: 0 for later keys

// -----------------------------------------------------------------------------
// matrices; each is called with sizes that are known

// Two rows of a product are summed at a time: their additions need not wait for each other.

// y = w x
static inline void multiply(int rows, int columns, const double *restrict w, double (*restrict x)[ROW],
                            double (*restrict y)[ROW]) {
    double turned[UP * WIDTH];  // w column by column: else gcc makes vectors of a row's numbers, not of positions
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) turned[k * rows + i] = w[i * columns + k];
    }
    for (int i = 0; i < rows; i += 2) {
        int next = i + 1 < rows ? i + 1 : i;  // of an odd number of rows the last is its own partner
        double sum[ROW] = {0}, sum2[ROW] = {0};
        for (int k = 0; k < columns; k++) {
            for (int j = 0; j < ROW; j++) sum[j] += turned[k * rows + i] * x[k][j];
            for (int j = 0; j < ROW; j++) sum2[j] += turned[k * rows + next] * x[k][j];
        }
        memcpy(y[i], sum, sizeof sum);
        memcpy(y[next], sum2, sizeof sum2);
    }
}

// dx = transposed w dy; the columns are even in number
static inline void multiply_back(int rows, int columns, const double *restrict w, double (*restrict dy)[ROW],
                                 double (*restrict dx)[ROW]) {
    for (int k = 0; k < columns; k += 2) {
        double sum[ROW] = {0}, sum2[ROW] = {0};
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < ROW; j++) sum[j] += w[i * columns + k] * dy[i][j];
            for (int j = 0; j < ROW; j++) sum2[j] += w[i * columns + k + 1] * dy[i][j];
        }
        memcpy(dx[k], sum, sizeof sum);
        memcpy(dx[k + 1], sum2, sizeof sum2);
    }
}

// dw = dy transposed x
static inline void outer(int rows, int columns, double (*restrict x)[ROW], double (*restrict dy)[ROW],
                         double *restrict dw) {
    double across[POSITIONS][UP];  // x with the features of a position side by side
    for (int j = 0; j < POSITIONS; j++) {
        for (int k = 0; k < columns; k++) across[j][k] = x[k][j];
    }
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) {
            double sum = 0;
            for (int j = 0; j < POSITIONS; j++) sum += dy[i][j] * across[j][k];
            dw[i * columns + k] = sum;
        }
    }
}

// -----------------------------------------------------------------------------
// layers

static void rmsnorm(double (*restrict x)[ROW], double (*restrict y)[ROW], double *restrict scale) {
    double sum[ROW] = {0};
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) sum[j] += x[i][j] * x[i][j];
    }
    for (int j = 0; j < ROW; j++) scale[j] = 1 / sqrt(sum[j] / WIDTH + 1e-5);
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) y[i][j] = x[i][j] * scale[j];
    }
}

// dx += what comes back through rmsnorm
static void rmsnorm_back(double (*restrict x)[ROW], double (*restrict dy)[ROW], const double *restrict scale,
                         double (*restrict dx)[ROW]) {
    double sum[ROW] = {0};
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) sum[j] += dy[i][j] * x[i][j];
    }
    for (int j = 0; j < ROW; j++) sum[j] *= scale[j] * scale[j] * scale[j] / WIDTH;
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) dx[i][j] += scale[j] * dy[i][j] - sum[j] * x[i][j];
    }
}

static void attend(void) {
    for (int h = 0; h < HEADS; h++) {
        double (*q)[ROW] = qkv + h * SIZE, (*k)[ROW] = q + WIDTH, (*x)[ROW] = k + WIDTH;
        double (*y)[ROW] = attended + h * SIZE, (*w)[ROW] = weights[h];
        for (int i = 0; i < POSITIONS; i++) {
            double score[ROW] = {0}, largest = -INFINITY, sum = 0;
            for (int n = 0; n < SIZE; n++) {
                for (int j = 0; j < ROW; j++) score[j] += q[n][i] * k[n][j];
            }
            for (int j = 0; j <= i; j++) largest = score[j] > largest ? score[j] : largest;
            for (int j = 0; j <= i; j++) sum += w[i][j] = exp((score[j] - largest) / 2);  // 2: the root of SIZE
            for (int j = 0; j <= i; j++) w[i][j] /= sum;
        }
        for (int n = 0; n < SIZE; n++) {
            for (int i = 0; i < POSITIONS; i++) {
                double sum = 0;
                for (int j = 0; j <= i; j++) sum += w[i][j] * x[n][j];
                y[n][i] = sum;
            }
        }
    }
}

static void attend_back(double (*restrict dy)[ROW], double (*restrict dqkv)[ROW]) {
    memset(dqkv, 0, sizeof qkv);
    for (int h = 0; h < HEADS; h++) {
        double (*q)[ROW] = qkv + h * SIZE, (*k)[ROW] = q + WIDTH, (*x)[ROW] = k + WIDTH;
        double (*dq)[ROW] = dqkv + h * SIZE, (*dk)[ROW] = dq + WIDTH, (*dx)[ROW] = dk + WIDTH;
        double (*dout)[ROW] = dy + h * SIZE, (*w)[ROW] = weights[h];
        for (int i = 0; i < POSITIONS; i++) {
            double d[ROW] = {0}, mean = 0;
            for (int n = 0; n < SIZE; n++) {
                for (int j = 0; j < ROW; j++) d[j] += dout[n][i] * x[n][j];
            }
            for (int j = 0; j <= i; j++) mean += w[i][j] * d[j];
            for (int j = 0; j < ROW; j++) d[j] = w[i][j] * (d[j] - mean) / 2;
            for (int n = 0; n < SIZE; n++) {
                double sum = 0;
                for (int j = 0; j <= i; j++) sum += d[j] * k[n][j];
                dq[n][i] = sum;
                for (int j = 0; j < ROW; j++) dk[n][j] += d[j] * q[n][i];
                for (int j = 0; j < ROW; j++) dx[n][j] += w[i][j] * dout[n][i];
            }
        }
    }
}

// turn the logits into d loss / d logits, and return the loss
static double mean_loss(const int *targets) {
    double largest[ROW], sum[ROW] = {0}, loss = 0;
    memcpy(largest, logits[0], sizeof largest);
    for (int i = 1; i < TOKENS; i++) {
        for (int j = 0; j < ROW; j++) largest[j] = logits[i][j] > largest[j] ? logits[i][j] : largest[j];
    }
    for (int i = 0; i < TOKENS; i++) {
        for (int j = 0; j < POSITIONS; j++) sum[j] += logits[i][j] = exp(logits[i][j] - largest[j]);
    }
    for (int j = 0; j < POSITIONS; j++) {
        loss -= log(logits[targets[j]][j] / sum[j]);
        sum[j] = 1 / (sum[j] * POSITIONS);
    }
    for (int i = 0; i < TOKENS; i++) {
        for (int j = 0; j < ROW; j++) logits[i][j] *= sum[j];
    }
    for (int j = 0; j < POSITIONS; j++) logits[targets[j]][j] -= 1.0 / POSITIONS;
    return loss / POSITIONS;
}

// -----------------------------------------------------------------------------
// the step

static double forward(const int *tokens) {
    for (int j = 0; j < POSITIONS; j++) {
        const double *a = p.named.token[tokens[j]], *b = p.named.position[j];
        for (int i = 0; i < WIDTH; i++) embedded[i][j] = a[i] + b[i];
    }
    rmsnorm(embedded, x0, scale0);

    rmsnorm(x0, x1, scale1);
    multiply(3 * WIDTH, WIDTH, *p.named.qkv, x1, qkv);
    attend();
    multiply(WIDTH, WIDTH, *p.named.o, attended, x2);
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) x2[i][j] += x0[i][j];
    }

    rmsnorm(x2, x3, scale3);
    multiply(UP, WIDTH, *p.named.up, x3, up);
    for (int i = 0; i < UP; i++) {
        for (int j = 0; j < ROW; j++) {
            up[i][j] = up[i][j] > 0 ? up[i][j] : 0;
            squared[i][j] = up[i][j] * up[i][j];
        }
    }
    multiply(WIDTH, UP, *p.named.down, squared, x4);
    for (int i = 0; i < WIDTH; i++) {
        for (int j = 0; j < ROW; j++) x4[i][j] += x2[i][j];
    }

    multiply(TOKENS, WIDTH, *p.named.unembed, x4, logits);
    return mean_loss(tokens + 1);
}

static void backward(const int *tokens) {
    static double d[WIDTH][ROW], inner[WIDTH][ROW], dup[UP][ROW], dqkv[3 * WIDTH][ROW], dembedded[WIDTH][ROW];
    outer(TOKENS, WIDTH, x4, logits, *g.named.unembed);
    multiply_back(TOKENS, WIDTH, *p.named.unembed, logits, d);

    outer(WIDTH, UP, squared, d, *g.named.down);
    multiply_back(WIDTH, UP, *p.named.down, d, dup);
    for (int i = 0; i < UP; i++) {
        for (int j = 0; j < ROW; j++) dup[i][j] *= 2 * up[i][j];
    }
    outer(UP, WIDTH, x3, dup, *g.named.up);
    multiply_back(UP, WIDTH, *p.named.up, dup, inner);
    rmsnorm_back(x2, inner, scale3, d);

    outer(WIDTH, WIDTH, attended, d, *g.named.o);
    multiply_back(WIDTH, WIDTH, *p.named.o, d, inner);
    attend_back(inner, dqkv);
    outer(3 * WIDTH, WIDTH, x1, dqkv, *g.named.qkv);
    multiply_back(3 * WIDTH, WIDTH, *p.named.qkv, dqkv, inner);
    rmsnorm_back(x0, inner, scale1, d);

    memset(dembedded, 0, sizeof dembedded);
    rmsnorm_back(embedded, d, scale0, dembedded);
    memset(g.named.token, 0, sizeof g.named.token);
    for (int j = 0; j < POSITIONS; j++) {
        double *a = g.named.token[tokens[j]], *b = g.named.position[j];
        for (int i = 0; i < WIDTH; i++) {
            a[i] += dembedded[i][j];
            b[i] = dembedded[i][j];
        }
    }
}

static void adamw(void) {
    t++;
    // m / bias1 / (sqrt(v / bias2) + eps), with the roots of bias2 taken out of the loop
    double root = sqrt(1 - pow(0.99, t)), rate = 0.01 * root / (1 - pow(0.9, t)), eps = 1e-8 * root;
    static double size[COUNT];
    for (int i = 0; i < COUNT; i++) {
        m.all[i] = 0.9 * m.all[i] + (1 - 0.9) * g.all[i];
        v.all[i] = 0.99 * v.all[i] + (1 - 0.99) * g.all[i] * g.all[i];
    }
    for (int i = 0; i < COUNT; i++) size[i] = sqrt(v.all[i]);  // by itself: it is no vector loop
    for (int i = 0; i < COUNT; i++) p.all[i] -= rate * m.all[i] / (size[i] + eps);
}

static int tokens[WORDS][LETTERS + 2];

static void start(void) {
    RNG rng;
    rng_init(&rng, 42);
    for (int i = 0; i < COUNT; i++) p.all[i] = rng_uniform(&rng, -0.2, 0.2);
    g = m = v = (Vector){.all = {0}};
    t = 0;

    int number[256] = {0}, known = 0;  // letters are numbered in the order of the alphabet
    for (int i = 0; i < WORDS; i++) {
        for (int j = 0; j < LETTERS; j++) number[(unsigned char)words[i][j]] = 1;
    }
    for (int c = 0; c < 256; c++) number[c] = number[c] ? known++ : -1;
    for (int i = 0; i < WORDS; i++) {
        tokens[i][0] = tokens[i][LETTERS + 1] = EDGE;
        for (int j = 0; j < LETTERS; j++) tokens[i][j + 1] = number[(unsigned char)words[i][j]];
    }
}

static double step(void) {
    const int *word = tokens[t % WORDS];
    double loss = forward(word);
    backward(word);
    adamw();
    return loss;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    print_steps(atoi(argv[1]), atof(argv[2]), start, step);
    return 0;
}

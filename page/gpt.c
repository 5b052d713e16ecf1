// The small GPT of examples/gpt.py, line for line, and its training: a recording for each length of
// words, computed again with the letters of each word.

#include <math.h>
#include <string.h>
#include "page.h"

enum { HEAD = WIDTH / HEADS, HIDDEN = 4 * WIDTH };

enum { PARAMETERS = TOKENS * WIDTH + POSITIONS * WIDTH + 4 * WIDTH * WIDTH + 2 * HIDDEN * WIDTH + TOKENS * WIDTH };

static struct {
    int is_started;
    Tape tape;
    RNG random;
    AdamW adamw;
    Index parameters[PARAMETERS];
    const Index *letter, *position, *query, *key, *value, *out, *up, *down, *score;  // the matrices in it
    Recording recordings[POSITIONS + 2];  // by the number of tokens
    int is_recorded[POSITIONS + 2];
    double loss;
    uint8_t tokens[POSITIONS + 1];
    double keys[MOST_WORDS];
    double attention[HEADS][POSITIONS][POSITIONS];
    double probabilities[POSITIONS][TOKENS];
} gpt;

// What a call of the network makes: with takes that a recording may choose anew, and to look at.
typedef struct Call {
    Index letters[POSITIONS][WIDTH];              // takes
    Index weights[HEADS][POSITIONS][POSITIONS];   // of the attention
    Index scores[POSITIONS][TOKENS];
} Call;

static int failed(void) {
    page_failed(&gpt.tape);
    return -1;
}

uint8_t *gpt_tokens(void) {
    return gpt.tokens;
}

double *gpt_keys(void) {
    return gpt.keys;
}

int gpt_nparameters(void) {
    return PARAMETERS;
}

// -----------------------------------------------------------------------------
// start

// size = columns**-0.5
// [[Value(rng.uniform(-size, size)) for _ in range(columns)] for _ in range(rows)]
static const Index *matrix(Index **next, int rows, int columns) {
    Index *first = *next;
    double size = pow(columns, -0.5);
    for (int i = 0; i < rows * columns; i++) {
        *(*next)++ = tape_leaf(&gpt.tape, rng_uniform(&gpt.random, -size, size));
    }
    return first;
}

int gpt_start(uint64_t seed, int nwords) {
    if (gpt.is_started) {
        for (int n = 0; n < POSITIONS + 2; n++) recording_free(&gpt.tape, &gpt.recordings[n]);
        tape_free(&gpt.tape);
    }
    memset(gpt.is_recorded, 0, sizeof gpt.is_recorded);
    gpt.is_started = 1;
    tape_init(&gpt.tape);
    rng_init(&gpt.random, seed);
    for (int i = 0; i < nwords; i++) gpt.keys[i] = rng_random(&gpt.random);
    Index *next = gpt.parameters;
    gpt.letter = matrix(&next, TOKENS, WIDTH);
    gpt.position = matrix(&next, POSITIONS, WIDTH);
    gpt.query = matrix(&next, WIDTH, WIDTH);
    gpt.key = matrix(&next, WIDTH, WIDTH);
    gpt.value = matrix(&next, WIDTH, WIDTH);
    gpt.out = matrix(&next, WIDTH, WIDTH);
    gpt.up = matrix(&next, HIDDEN, WIDTH);
    gpt.down = matrix(&next, WIDTH, HIDDEN);
    gpt.score = matrix(&next, TOKENS, WIDTH);
    gpt.adamw = (AdamW){.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    for (int i = 0; i < PARAMETERS; i++) {
        if (!gpt.parameters[i]) return failed();
        tape_hold(&gpt.tape, gpt.parameters[i]);
    }
    return adam_init(&gpt.tape, gpt.parameters, PARAMETERS) ? failed() : 0;
}

// -----------------------------------------------------------------------------
// the network. An operation that fails makes 0, and so does all that follows from it.

// scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
// return [xi * scale for xi in x]
static void rmsnorm(const Index *x, Index *out) {
    Tape *tape = &gpt.tape;
    Index mean = tape_div_number(tape, tape_dot(tape, 0, 0.0, x, NULL, x, NULL, WIDTH), WIDTH);
    Index scale = tape_pow(tape, tape_binary(tape, OP_ADD, mean, tape_leaf(tape, 1e-5)), -0.5, 0);
    for (int j = 0; j < WIDTH; j++) out[j] = tape_binary(tape, OP_MUL, x[j], scale);
}

static void add(const Index *x, const Index *y, Index *out) {
    for (int j = 0; j < WIDTH; j++) out[j] = tape_binary(&gpt.tape, OP_ADD, x[j], y[j]);
}

static int times(const Index *w, const Index *x, int nin, int nout, Index *out) {
    return linear(&gpt.tape, x, NULL, (size_t)nin, w, NULL, (size_t)nout, out);
}

// weights = softmax([dot(query, key) / len(query) ** 0.5 for key in keys])
// return [dot(weights, column) for column in zip(*values)]
static int attend(const Index *query, Index keys[][WIDTH], Index values[][WIDTH], int start, int n, Index *weights,
                  Index *out) {
    Tape *tape = &gpt.tape;
    Index fits[POSITIONS];
    for (int i = 0; i < n; i++) {
        Index fit = tape_dot(tape, 0, 0.0, query + start, NULL, keys[i] + start, NULL, HEAD);
        fits[i] = tape_div_number(tape, fit, pow(HEAD, 0.5));
        if (!fits[i]) return -1;
    }
    if (softmax(tape, fits, (size_t)n, weights)) return -1;
    for (int j = 0; j < HEAD; j++) {
        Index column[POSITIONS];
        for (int i = 0; i < n; i++) column[i] = values[i][start + j];
        out[j] = tape_dot(tape, 0, 0.0, weights, NULL, column, NULL, (size_t)n);
        if (!out[j]) return -1;
    }
    return 0;
}

// GPT.scores: for each of n positions, a score for every token that may come next
static int scores(const uint8_t *tokens, int n, Call *call) {
    Tape *tape = &gpt.tape;
    static Index keys[POSITIONS][WIDTH], values[POSITIONS][WIDTH];
    for (int i = 0; i < n; i++) {
        Index x[WIDTH], normed[WIDTH], query[WIDTH], found[WIDTH], change[WIDTH], after[WIDTH];
        for (int j = 0; j < WIDTH; j++) {
            call->letters[i][j] = tape_unary(tape, OP_TAKE, gpt.letter[tokens[i] * WIDTH + j]);
            if (!call->letters[i][j]) return -1;
        }
        add(call->letters[i], gpt.position + i * WIDTH, x);

        // attention: look back at the positions so far, each head in its part of x
        rmsnorm(x, normed);
        if (times(gpt.query, normed, WIDTH, WIDTH, query) || times(gpt.key, normed, WIDTH, WIDTH, keys[i])
            || times(gpt.value, normed, WIDTH, WIDTH, values[i]))
            return -1;
        for (int h = 0; h < HEADS; h++) {
            if (attend(query, keys, values, h * HEAD, i + 1, call->weights[h][i], found + h * HEAD)) return -1;
        }
        if (times(gpt.out, found, WIDTH, WIDTH, change)) return -1;
        add(x, change, after);

        // and two layers that work on what was found there
        Index hidden[HIDDEN];
        rmsnorm(after, normed);
        if (times(gpt.up, normed, WIDTH, HIDDEN, hidden)) return -1;
        for (int j = 0; j < HIDDEN; j++) hidden[j] = tape_unary(tape, OP_RELU, hidden[j]);
        if (times(gpt.down, hidden, HIDDEN, WIDTH, change)) return -1;
        add(after, change, x);
        if (times(gpt.score, x, WIDTH, TOKENS, call->scores[i])) return -1;
    }
    return 0;
}

// -----------------------------------------------------------------------------
// training

// losses = map(cross_entropy, self.scores(tokens[:-1]), tokens[1:])
// return sum(losses) / (len(tokens) - 1)
//
// What a token decides is a choice: a letter's row of numbers, and the exponential of a target's score.
static int record(int n) {
    Tape *tape = &gpt.tape;
    static Call call;
    static Index ex[POSITIONS][TOKENS];
    Index targets[POSITIONS], losses[POSITIONS];
    int positions = n - 1;
    if (scores(gpt.tokens, positions, &call)) return -1;
    for (int i = 0; i < positions; i++) {
        Index denom;
        if (exponentials(tape, call.scores[i], TOKENS, ex[i], &denom)) return -1;
        targets[i] = tape_unary(tape, OP_TAKE, ex[i][gpt.tokens[i + 1]]);
        losses[i] = tape_neg(tape, tape_unary(tape, OP_LOG, tape_div(tape, targets[i], denom)));
        if (!losses[i]) return -1;
    }
    Index loss = tape_div_number(tape, tape_sum(tape, 0, 0.0, losses, NULL, (size_t)positions), positions);
    if (!loss) return -1;
    Recording *recording = &gpt.recordings[n];
    if (recording_start(tape, recording, &loss, 1, NULL, 0)) return -1;
    for (int i = 0; i < positions; i++) {
        if (recording_choice(tape, recording, (size_t)i, call.letters[i], WIDTH, gpt.letter, TOKENS)) return -1;
    }
    for (int i = 0; i < positions; i++) {
        if (recording_choice(tape, recording, (size_t)i + 1, &targets[i], 1, ex[i], TOKENS)) return -1;
    }
    if (recording_end(tape, recording)) return -1;
    gpt.is_recorded[n] = 1;
    return 0;
}

// loss = model.loss(word)
// loss.backward()
// optimizer.lr = 0.02 / (1 + optimizer.t / 100) ** 0.5
// optimizer.step()
// optimizer.zero_grad()
int gpt_step(int n, double rate) {
    Tape *tape = &gpt.tape;
    Recording *recording = &gpt.recordings[n];
    if (!gpt.is_recorded[n] && record(n)) return failed();
    int64_t integers[POSITIONS + 1];
    for (int i = 0; i < n; i++) integers[i] = gpt.tokens[i];
    if (recording_set(tape, recording, NULL, integers) || recording_forward(tape, recording)) return failed();
    Index loss = recording->outputs[0];
    gpt.loss = *tape_data(tape, loss);
    if (tape_backward(tape, loss)) return failed();
    gpt.adamw.lr = rate / pow(1 + gpt.adamw.t / 100, 0.5);
    if (adamw_step(tape, &gpt.adamw, gpt.parameters, PARAMETERS)) return failed();
    zero_grad(tape, gpt.parameters, PARAMETERS);
    return 0;
}

double gpt_loss(void) {
    return gpt.loss;
}

// -----------------------------------------------------------------------------
// what it has learned. These graphs are recorded, read and freed.

int gpt_look(int n) {
    Tape *tape = &gpt.tape;
    static Call call;
    static Index likely[POSITIONS][TOKENS];
    if (scores(gpt.tokens, n, &call)) return failed();
    for (int i = 0; i < n; i++) {
        if (softmax(tape, call.scores[i], TOKENS, likely[i])) return failed();
        for (int j = 0; j < TOKENS; j++) gpt.probabilities[i][j] = *tape_data(tape, likely[i][j]);
        for (int h = 0; h < HEADS; h++) {
            for (int k = 0; k <= i; k++) gpt.attention[h][i][k] = *tape_data(tape, call.weights[h][i][k]);
        }
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < TOKENS; j++) tape_discard(tape, likely[i][j]);
    }
    return 0;
}

const double *gpt_attention(void) {
    return &gpt.attention[0][0][0];
}

const double *gpt_probabilities(void) {
    return &gpt.probabilities[0][0];
}

// sums = list(itertools.accumulate(weights))
// return bisect.bisect(sums, rng.uniform(0, sums[-1]))
static int choose(const double *weights) {
    double sums[TOKENS], total = 0.0;
    for (int j = 0; j < TOKENS; j++) sums[j] = total = total + weights[j];
    double random = rng_uniform(&gpt.random, 0.0, total);
    int j = 0;
    while (j < TOKENS && sums[j] <= random) j++;
    return j;
}

int gpt_make_up(double temperature) {
    uint8_t word[POSITIONS + 1];
    int n = 1;
    gpt.tokens[0] = EDGE;
    while (n < POSITIONS) {
        if (gpt_look(n)) return -1;
        // a low temperature leaves little to what is less likely than the likeliest
        const double *likely = gpt.probabilities[n - 1];
        double most = 0.0, weights[TOKENS];
        for (int j = 0; j < TOKENS; j++) most = likely[j] > most ? likely[j] : most;
        for (int j = 0; j < TOKENS; j++) weights[j] = pow(likely[j] / most, 1 / temperature);
        int token = choose(weights);
        if (token == EDGE) break;
        gpt.tokens[n++] = (uint8_t)token;
    }
    memcpy(word, gpt.tokens + 1, (size_t)n - 1);
    memcpy(gpt.tokens, word, (size_t)n - 1);
    return n - 1;
}

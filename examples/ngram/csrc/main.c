// The model run as a C program: it prints what `python -m ngram` prints.
//
//     make -C csrc && csrc/ngram [DIRECTORY]

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ngram.h"

#define PROGRAM "ngram"
#include "program.h"

enum { SHORTEST = 3, SEED = 1337, SAMPLED = 200 };  // LONGEST is in ngram.h

static const double smoothings[] = {0.03, 0.1, 0.3, 1.0};

typedef struct Tokens {
    int32_t *items;
    size_t n;
} Tokens;

static Tokens encode(const char *path, const char *text, size_t n) {
    int32_t *tokens = program_memory(n, sizeof(int32_t));
    Fault fault;
    char problem[100];
    if (text_encode(text, n, tokens, &fault) == 0) {
        if (n >= LONGEST) return (Tokens){tokens, n};
        snprintf(problem, sizeof problem, "at least %d tokens are needed, and there are %zu", LONGEST, n);
        program_stop(path, problem);
    }
    size_t line = 1, column = 1;
    for (size_t i = 0; i < fault.at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    snprintf(problem, sizeof problem, "line %zu, column %zu: not a letter from a to z", line, column);
    program_stop(path, problem);
    return (Tokens){NULL, 0};
}

// load(engine, os.path.join(directory, name)): its tokens, which the caller frees
static Tokens load(const char *directory, const char *name) {
    size_t length = strlen(directory);
    int is_complete = length == 0 || directory[length - 1] == '/';
    char *path = program_memory(length + strlen(name) + 2, 1);
    sprintf(path, "%s%s%s", directory, is_complete ? "" : "/", name);
    size_t n;
    char *text = program_read_file(path, &n);
    Tokens tokens = encode(path, text, n);
    free(text);
    free(path);
    return tokens;
}

// a model that has counted the tokens
static NGram *trained(size_t n, double smoothing, Tokens train) {
    NGram *model = ngram_new(n, smoothing);
    Fault fault;
    if (!model) program_stop(NULL, "out of memory");
    if (ngram_train(model, train.items, train.n, &fault) < 0) program_stop(NULL, "too many windows");
    return model;
}

static double loss_of(const NGram *model, Tokens tokens) {
    double loss = 0.0;
    Fault fault;
    ngram_loss(model, tokens.items, tokens.n, &loss, &fault);  // cannot fail: load() has checked
    return loss;
}

// a number as Python prints it
static void print_number(const char *before, double x) {
    char text[32];
    number_repr(x, text);
    printf("%s%s", before, text);
}

int main(int argc, char **argv) {
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {  // there are no options
        fprintf(stderr, "usage: ngram [DIRECTORY]\n");
        return 2;
    }
    const char *directory = argc == 2 ? argv[1] : "ngram/data";
    Tokens train = load(directory, "train.txt");
    Tokens val = load(directory, "val.txt");
    Tokens test = load(directory, "test.txt");

    // the validation text chooses: the loss of the training text gets less with each longer n
    double best_loss = INFINITY, best_smoothing = 0.0;
    size_t best_n = 0;
    for (size_t n = SHORTEST; n <= LONGEST; n++) {
        for (size_t i = 0; i < sizeof smoothings / sizeof *smoothings; i++) {
            NGram *model = trained(n, smoothings[i], train);
            double loss = loss_of(model, val);
            printf("n %zu", n);
            print_number(" | smoothing ", smoothings[i]);
            print_number(" | train loss ", loss_of(model, train));
            print_number(" | val loss ", loss);
            printf("\n");
            if (loss < best_loss) {
                best_loss = loss;
                best_n = n;
                best_smoothing = smoothings[i];
            }
            ngram_free(model);
        }
    }

    printf("best on val: n %zu", best_n);
    print_number(", smoothing ", best_smoothing);
    NGram *model = trained(best_n, best_smoothing, train);
    double loss = loss_of(model, test);
    print_number("\ntest loss ", loss);
    print_number(", perplexity ", exp(loss));

    // decode(model.sample(RNG(SEED), SAMPLED))
    RNG random;
    rng_init(&random, SEED);
    int32_t sampled[SAMPLED];
    char words[SAMPLED];
    Fault fault;
    ngram_sample(model, &random, sampled, SAMPLED);
    text_decode(sampled, SAMPLED, words, &fault);
    printf("\n%.*s\n", SAMPLED, words);

    ngram_free(model);
    free(train.items);
    free(val.items);
    free(test.items);
    return program_end();
}

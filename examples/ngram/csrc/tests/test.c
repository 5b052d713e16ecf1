// Tests of the C library by itself: `make -C csrc test`, and `make -C csrc asan`.
// A check that fails says where, and the program ends with the number of failures.

#include <math.h>
#include <string.h>
#include "ngram.h"
#include "checks.h"

// the generator, on the numbers that every port has to give
static void test_rng(void) {
    RNG random;
    rng_init(&random, 42);
    CHECK(rng_random_u32(&random) == 1456360119u);
    CHECK(rng_random_u32(&random) == 3359763283u);
    rng_init(&random, 42);
    CHECK(rng_random(&random) == 0.3390852212905884);
}

static void test_repr(void) {
    char text[32];
    number_repr(0.1, text);
    CHECK(strcmp(text, "0.1") == 0);
    number_repr(1e16, text);
    CHECK(strcmp(text, "1e+16") == 0);
}

static void test_text(void) {
    int32_t tokens[5];
    char text[5];
    Fault fault;
    CHECK(text_encode("ab\ncz", 5, tokens, &fault) == 0);
    static const int32_t expected[] = {1, 2, 0, 3, 26};
    CHECK(memcmp(tokens, expected, sizeof expected) == 0);
    CHECK(text_decode(tokens, 5, text, &fault) == 0 && memcmp(text, "ab\ncz", 5) == 0);

    CHECK(text_encode("ab\nC", 4, tokens, &fault) == -1);
    CHECK(fault.code == FAULT_CHARACTER && fault.at == 3);
    tokens[1] = VOCABULARY;
    CHECK(text_decode(tokens, 2, text, &fault) == -1);
    CHECK(fault.code == FAULT_TOKEN && fault.at == 1 && fault.token == VOCABULARY);
}

static void test_ngram(void) {
    CHECK(ngram_new(0, 1.0) == NULL && ngram_new(LONGEST + 1, 1.0) == NULL);
    ngram_free(NULL);

    Fault fault;
    NGram *ngram = ngram_new(3, 1.0);
    CHECK(ngram != NULL);
    if (!ngram) return;
    static const int32_t tokens[] = {0, 1, 2, 0, 1, 2, 0, 1, 1};  // 0 1 is followed by 2, 2, 1
    double loss, p[VOCABULARY];
    CHECK(ngram_loss(ngram, tokens, 3, &loss, &fault) == 0 && loss == -log(1.0 / 27.0));
    CHECK(ngram_train(ngram, tokens, 9, &fault) == 0);
    CHECK(ngram_probabilities(ngram, tokens, p, &fault) == 0);
    CHECK(p[0] == 1.0 / 30.0 && p[1] == 2.0 / 30.0 && p[2] == 3.0 / 30.0);
    CHECK(ngram_loss(ngram, tokens, 3, &loss, &fault) == 0 && loss == -log(3.0 / 30.0));

    static const int32_t wrong[] = {0, 1, 2, VOCABULARY};
    CHECK(ngram_train(ngram, wrong, 4, &fault) == -1);
    CHECK(fault.code == FAULT_TOKEN && fault.at == 3 && fault.token == VOCABULARY);
    CHECK(ngram_loss(ngram, wrong, 4, &loss, &fault) == -1 && fault.code == FAULT_TOKEN);
    CHECK(ngram_train(ngram, tokens, 2, &fault) == -1);
    CHECK(fault.code == FAULT_FEW && fault.at == 2);
    CHECK(ngram_loss(ngram, tokens, 2, &loss, &fault) == -1 && fault.code == FAULT_FEW);
#if SIZE_MAX > UINT32_MAX
    CHECK(ngram_train(ngram, tokens, (size_t)UINT32_MAX + 3, &fault) == -1);  // which reads none
    CHECK(fault.code == FAULT_MANY);
#endif
    double again[VOCABULARY];
    CHECK(ngram_probabilities(ngram, wrong + 2, again, &fault) == -1 && fault.at == 1);
    CHECK(ngram_probabilities(ngram, tokens, again, &fault) == 0);
    CHECK(memcmp(p, again, sizeof p) == 0);  // what failed has counted nothing

    RNG random;
    rng_init(&random, 42);
    int32_t sampled[50];
    ngram_sample(ngram, &random, sampled, 50);
    for (size_t i = 0; i < 50; i++) CHECK(sampled[i] >= 0 && sampled[i] < VOCABULARY);
    ngram_free(ngram);
}

// the shortest and the longest windows: the first and the last count of all
static void test_lengths(void) {
    static const int32_t first[LONGEST] = {0}, last[LONGEST] = {26, 26, 26, 26, 26};
    for (size_t n = 1; n <= LONGEST; n++) {
        Fault fault;
        double p[VOCABULARY];
        NGram *ngram = ngram_new(n, 1.0);
        CHECK(ngram != NULL);
        if (!ngram) return;
        CHECK(ngram_train(ngram, first, n, &fault) == 0 && ngram_train(ngram, last, n, &fault) == 0);
        CHECK(ngram_probabilities(ngram, last, p, &fault) == 0);
        CHECK(p[26] == 2.0 / (n == 1 ? 29.0 : 28.0));
        ngram_free(ngram);
    }
}

int main(void) {
    test_rng();
    test_repr();
    test_text();
    test_ngram();
    test_lengths();
    return check_report();
}

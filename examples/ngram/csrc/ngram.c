// The n-gram model in C. Above each step stands its line of Python, from ngram/pure/.

#include <math.h>
#include <stdlib.h>
#include "ngram.h"

static int fail(Fault *fault, FaultCode code, size_t at, int32_t token) {
    *fault = (Fault){code, at, token};
    return -1;
}

// -----------------------------------------------------------------------------
// text

static const char vocabulary[] = "\nabcdefghijklmnopqrstuvwxyz";

// VOCABULARY.find(character)
static int32_t find(char character) {
    for (int32_t token = 0; token < VOCABULARY; token++) {
        if (vocabulary[token] == character) return token;
    }
    return -1;
}

int text_encode(const char *text, size_t n, int32_t *tokens, Fault *fault) {
    for (size_t at = 0; at < n; at++) {
        // token = VOCABULARY.find(character)
        int32_t token = find(text[at]);
        if (token < 0) return fail(fault, FAULT_CHARACTER, at, 0);
        // tokens.append(token)
        tokens[at] = token;
    }
    return 0;
}

int text_decode(const int32_t *tokens, size_t n, char *text, Fault *fault) {
    for (size_t at = 0; at < n; at++) {
        if (tokens[at] < 0 || tokens[at] >= VOCABULARY) return fail(fault, FAULT_TOKEN, at, tokens[at]);
        // text += VOCABULARY[token]
        text[at] = vocabulary[tokens[at]];
    }
    return 0;
}

// -----------------------------------------------------------------------------
// the model

struct NGram {
    size_t n;
    double smoothing;
    size_t contexts;   // VOCABULARY ** (n - 1)
    uint32_t *counts;  // a row for each context: of what follows it
    uint64_t windows;  // that have been counted
};

NGram *ngram_new(size_t n, double smoothing) {
    if (n < 1 || n > LONGEST) return NULL;
    NGram *ngram = malloc(sizeof(NGram));
    if (!ngram) return NULL;
    *ngram = (NGram){.n = n, .smoothing = smoothing, .contexts = 1};
    for (size_t i = 1; i < n; i++) ngram->contexts *= VOCABULARY;
    ngram->counts = calloc(ngram->contexts, VOCABULARY * sizeof(uint32_t));
    if (!ngram->counts) {
        ngram_free(ngram);
        return NULL;
    }
    return ngram;
}

void ngram_free(NGram *ngram) {
    if (!ngram) return;
    free(ngram->counts);
    free(ngram);
}

// the number of the context's row: its n - 1 tokens are the digits, to base VOCABULARY
static size_t context_at(const NGram *ngram, const int32_t *tokens) {
    size_t context = 0;
    for (size_t i = 0; i + 1 < ngram->n; i++) context = context * VOCABULARY + (size_t)tokens[i];
    return context;
}

// (row[token] + self._smoothing) / (sum(row) + SIZE * self._smoothing)
static double probability(const NGram *ngram, size_t context, size_t token) {
    const uint32_t *row = ngram->counts + context * VOCABULARY;
    uint64_t total = 0;
    for (size_t i = 0; i < VOCABULARY; i++) total += row[i];
    return (row[token] + ngram->smoothing) / ((double)total + VOCABULARY * ngram->smoothing);
}

// self._check_range(tokens)
static int check_range(const int32_t *tokens, size_t length, Fault *fault) {
    for (size_t at = 0; at < length; at++) {
        if (tokens[at] < 0 || tokens[at] >= VOCABULARY) return fail(fault, FAULT_TOKEN, at, tokens[at]);
    }
    return 0;
}

int ngram_train(NGram *ngram, const int32_t *tokens, size_t length, Fault *fault) {
    // tokens = self._check(tokens, MOST_WINDOWS - self._windows)
    if (length < ngram->n) return fail(fault, FAULT_FEW, length, 0);
    size_t windows = length - ngram->n + 1;
    if (windows > UINT32_MAX - ngram->windows) return fail(fault, FAULT_MANY, 0, 0);
    if (check_range(tokens, length, fault) < 0) return -1;
    // for window in self._windows_of(tokens)
    for (size_t i = 0; i < windows; i++) {
        // context, token = window[:-1], window[-1]
        size_t context = context_at(ngram, tokens + i), token = (size_t)tokens[i + ngram->n - 1];
        // row[token] += 1
        ngram->counts[context * VOCABULARY + token]++;
        // self._windows += 1
        ngram->windows++;
    }
    return 0;
}

int ngram_probabilities(const NGram *ngram, const int32_t *context, double *out, Fault *fault) {
    if (check_range(context, ngram->n - 1, fault) < 0) return -1;
    for (size_t token = 0; token < VOCABULARY; token++) {
        // view[token] = self._probability(tuple(context), token)
        out[token] = probability(ngram, context_at(ngram, context), token);
    }
    return 0;
}

int ngram_loss(const NGram *ngram, const int32_t *tokens, size_t length, double *loss, Fault *fault) {
    // tokens = self._check(tokens)
    if (length < ngram->n) return fail(fault, FAULT_FEW, length, 0);
    if (check_range(tokens, length, fault) < 0) return -1;
    size_t windows = length - ngram->n + 1;
    double total = 0.0;
    for (size_t i = 0; i < windows; i++) {
        // total -= math.log(self._probability(window[:-1], window[-1]))
        size_t token = (size_t)tokens[i + ngram->n - 1];
        total -= log(probability(ngram, context_at(ngram, tokens + i), token));
    }
    // return total / (len(tokens) - self._n + 1)
    *loss = total / (double)windows;
    return 0;
}

// self._sample_one(random, context)
static size_t sample_one(const NGram *ngram, RNG *random, size_t context) {
    double x = rng_random(random), cumulative = 0.0;
    for (size_t token = 0; token + 1 < VOCABULARY; token++) {
        cumulative += probability(ngram, context, token);
        if (x < cumulative) return token;
    }
    return VOCABULARY - 1;  // the sum of all, 1.0, may be rounded down
}

void ngram_sample(const NGram *ngram, RNG *random, int32_t *tokens, size_t length) {
    // context = (0,) * (self._n - 1)
    size_t context = 0;
    for (size_t i = 0; i < length; i++) {
        // tokens[i] = self._sample_one(random, context)
        size_t token = sample_one(ngram, random, context);
        tokens[i] = (int32_t)token;
        // context = (*context, tokens[i])[1:]
        context = (context * VOCABULARY + token) % ngram->contexts;
    }
}

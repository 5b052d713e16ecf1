// ngram in C: every public declaration, once.
//
// Python's cffi reads this very file, and the headers that it includes. It drops the lines that
// start with '#', so those may only be guards and includes, and constants are enums.
//
// Nothing here prints, exits or has state of its own: a function takes what it works on as its
// first argument. One that can fail returns 0 or -1, and in *fault it says what was wrong.

#ifndef NGRAM_H
#define NGRAM_H

#include <stddef.h>
#include <stdint.h>
#include "repr.h"
#include "rng.h"

typedef enum FaultCode {
    FAULT_NONE,
    FAULT_CHARACTER,  // the one in place `at` is no letter from a to z
    FAULT_TOKEN,      // the one in place `at` is out of range
    FAULT_FEW,        // there are only `at` tokens, fewer than a window has
    FAULT_MANY        // there are more windows than can be counted
} FaultCode;

typedef struct Fault {
    int code;         // a FaultCode
    size_t at;
    int32_t token;
} Fault;

// -----------------------------------------------------------------------------
// text: words of a to z, one a line

enum { VOCABULARY = 27 };  // tokens: 0 for the newline, 1 .. 26 for a to z

// tokens has room for n
int text_encode(const char *text, size_t n, int32_t *tokens, Fault *fault);

// text has room for n characters, and gets no '\0' at its end
int text_decode(const int32_t *tokens, size_t n, char *text, Fault *fault);

// -----------------------------------------------------------------------------
// the n-gram model: how often does each token follow each run of n - 1 tokens?

enum { LONGEST = 5 };  // tokens in a window: 27**5 counts are 57 MB

typedef struct NGram NGram;

NGram *ngram_new(size_t n, double smoothing);  // NULL: n is not 1 .. LONGEST, or out of memory
void ngram_free(NGram *ngram);                 // NULL is allowed

int ngram_train(NGram *ngram, const int32_t *tokens, size_t length, Fault *fault);
int ngram_loss(const NGram *ngram, const int32_t *tokens, size_t length, double *loss, Fault *fault);

// context has n - 1 tokens, and out gets VOCABULARY numbers
int ngram_probabilities(const NGram *ngram, const int32_t *context, double *out, Fault *fault);

// random tokens, each after those before it, the first as if after newlines
void ngram_sample(const NGram *ngram, RNG *random, int32_t *tokens, size_t length);

#endif

// Every allocation of the library fails once: `make -C csrc memory`. A call that fails for it says
// so, and leaves no memory behind.

#include <stdint.h>
#include "ngram.h"
#include "failing.h"

#define CHECK_CONTEXT fprintf(stderr, "allocation %ld: ", first_fails)
#include "checks.h"

// all that the library does; 0, or -1 for want of memory
static int scenario(void) {
    static const int32_t tokens[] = {0, 1, 2, 0, 2};
    Fault fault;
    double loss;
    NGram *ngram = ngram_new(3, 0.5);
    if (!ngram) return -1;
    CHECK(ngram_train(ngram, tokens, 5, &fault) == 0);
    CHECK(ngram_loss(ngram, tokens, 5, &loss, &fault) == 0);
    ngram_free(ngram);
    return 0;
}

int main(void) {
    int result = -1;
    for (first_fails = 0; result != 0; first_fails++) {
        last_fails = first_fails;
        allocations = failed = 0;
        is_armed = 1;
        result = scenario();
        is_armed = 0;
        CHECK((result == -1) == (failed == 1));
        CHECK(outstanding == 0);
    }
    CHECK(first_fails > 1);  // else none has failed
    return check_report();
}

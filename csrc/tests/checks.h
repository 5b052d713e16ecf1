// Checks in a test program: one that fails says where, and the program goes on. To also say at what
// the program was, define CHECK_CONTEXT before this is included, as a statement that prints it.

#ifndef CHECKS_H
#define CHECKS_H

#include <stdio.h>

#ifndef CHECK_CONTEXT
#define CHECK_CONTEXT (void)0
#endif

static long checks, failures;

enum { MOST_MESSAGES = 20 };

#define CHECK(condition)                                    \
    do {                                                    \
        checks++;                                           \
        if (!(condition) && ++failures <= MOST_MESSAGES) {  \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
            CHECK_CONTEXT;                                  \
            fprintf(stderr, "not so: %s\n", #condition);    \
        }                                                   \
    } while (0)

// what main returns
static int check_report(void) {
    printf("%ld checks, %ld failed\n", checks, failures);
    return failures > 0;
}

#endif

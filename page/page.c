// Numbers as text, and the fault of the call that failed last.

#include <math.h>
#include <stdio.h>
#include "page.h"

static Fault last_fault;
static char text[400];  // %.6f of the largest float has 316 characters

const Fault *page_fault(void) {
    return &last_fault;
}

void page_failed(const Tape *tape) {
    last_fault = tape->fault;
}

const char *page_op_name(int op) {
    return op_name((Op)op);
}

const char *page_repr(double x) {
    number_repr(x, text);
    return text;
}

const char *page_fixed(double x) {
    snprintf(text, sizeof text, "%.6f", x);
    return text;
}

double page_pow(double x, double k) {
    Tape tape;
    tape_init(&tape);
    Index power = tape_pow(&tape, tape_leaf(&tape, x), k, 0);
    double out = power ? tape.data[power] : NAN;
    if (!power) page_failed(&tape);
    tape_free(&tape);
    return out;
}

// The passes over graphs in which nodes have functions of the user's: C goes over the nodes in order,
// and calls the function of a node that has one.
//
// A function may do anything: raise, delete the graph, call the root's __init__ again. So a pass has
// its own copy of the order, and holds the root, which keeps all other nodes alive.

#include "handle.h"
#include <string.h>

typedef struct Pass {
    Index root;
    Index *order;   // operands before their users
    ptrdiff_t n;
    double *saved;  // by position: the node's data and gradient before the pass
} Pass;

static void pass_free(Pass *pass) {
    free(pass->order);
    free(pass->saved);
}

static int pass_start(Pass *pass, Index root, int forward) {
    size_t n = tape_walk(&tape, root, forward);
    *pass = (Pass){.root = root, .n = (ptrdiff_t)n};
    if (n > 0) {
        pass->order = malloc(n * sizeof *pass->order);
        pass->saved = malloc(n * 2 * sizeof *pass->saved);
    }
    if (!pass->order || !pass->saved) {
        pass_free(pass);
        tape.fault = (Fault){.code = FAULT_MEMORY};
        raise_fault();
        return 0;
    }
    memcpy(pass->order, tape.order, n * sizeof *pass->order);
    tape_settle(&tape);
    for (size_t k = 0; k < n; k++) {
        pass->saved[2 * k] = tape.data[pass->order[k]];
        pass->saved[2 * k + 1] = tape.grad[pass->order[k]];
    }
    tape_hold(&tape, root);
    return 1;
}

static int pass_end(Pass *pass, int failed) {
    tape_settle(&tape);
    for (ptrdiff_t k = 0; k < pass->n && failed; k++) {  // all as it was
        tape.data[pass->order[k]] = pass->saved[2 * k];
        tape.grad[pass->order[k]] = pass->saved[2 * k + 1];
    }
    tape_release(&tape, pass->root);
    pass_free(pass);
    handles_tend();
    return failed;
}

// the exception for the rule that the tape could not run
static int fail(void) {
    raise_fault();
    return -1;
}

int pass_backward(Index root) {
    Pass pass;
    if (!pass_start(&pass, root, 0)) return -1;
    tape.grad[root] = 1.0;
    int failed = 0;
    for (ptrdiff_t at = pass.n; !failed && (at = tape_backward_until(&tape, pass.order, at)) != -1;) {
        failed = at == -2 ? fail() : handle_run_backward(pass.order[at]);
    }
    return pass_end(&pass, failed);
}

int pass_forward(Index root) {
    Pass pass;
    if (!pass_start(&pass, root, 1)) return -1;
    int failed = 0;
    for (ptrdiff_t at = 0; !failed && (at = tape_forward_until(&tape, pass.order, at, pass.n)) != pass.n; at++) {
        failed = at == -2 ? fail() : handle_run_forward(pass.order[at]);
    }
    for (ptrdiff_t k = 0; k < pass.n && !failed; k++) {
        Index i = pass.order[k];
        if (tape.nodes[i].op != OP_LEAF) tape.grad[i] = 0.0;
    }
    return pass_end(&pass, failed);
}

// What Python needs besides the library: the one tape that all of a process shares, and the
// calls over it whose results are Python objects. cffi reads this file after micrograd.h.
//
// All of C runs with the GIL held, which is the lock of the tape.

#ifndef MICROGRAD_BINDING_H
#define MICROGRAD_BINDING_H

#include "micrograd.h"

// id() of a Python object that the caller keeps alive
typedef uintptr_t Object;

// The tape. Functions that take only indices and numbers are called on it directly.
Tape *shared_tape(void);

// A node, and its number, by value: the arrays that they are in move while Python works.
Node shared_node(Index i);
double shared_number(Index i);

// Make the type Value (handle.c) and append it to the list `out`; 0, or -1. `hooks` is a tuple of
// what C needs of Python:
//     error(code, op, operands, a, b, out)   the exception for a fault
//     number(x)                              x as a float, or a TypeError
//     is_number(x)                           whether number() takes it
//     node(data, ...)                        what Value's constructor was given, as a tuple
//     recomputed(value)                      what the _forward of a user node returns, as a float
//     is_recording()                         False under no_grad
//     no_grad_blocks                         a set: while it is empty recording is on everywhere
//     refuse(what)                           a RecordingError if that is being recorded
//     recorders                              a set: while it is empty nothing is refused anywhere
//     unsupported(value, x, form)            NotImplemented, or a TypeError that says what to write
//     unrecorded                             what backward() warns of, a text
//     types                                  of functions, cells, methods and partials
int handle_type_new(Object hooks, Object out);

int shared_are_plain(Object xs);                    // are all Values, floats and ints? 2: Values; 0: no
int shared_are_at(Object xs, const Index *places);  // is each the Value of its node?

// Each of these appends its result to the Python list `out` and returns 0, or appends the
// exception and returns -1. The list holds references, so an interrupt after the call loses no
// node. xs, ws and logits are lists whose items are all plain: Values, floats and ints.
int shared_dot(Object ws, Object xs, Object start, Object out);
int shared_sum(Object xs, Object start, Object out);
int shared_linear(Object xs, Object ws, size_t nout, Object out);  // ws: row by row
int shared_take(Object xs, Object out);                            // a copy of each
int shared_exponentials(Object xs, Object out);                    // and then their sum
int shared_softmax(Object xs, Object out);
int shared_cross_entropy(Object logits, size_t target, Object out);
int shared_mlp_call(const MLP *mlp, Object xs, Object out);
// Of a list of points ([x, ...], label), with a plain x and an int. 1, and nothing appended, if a
// point is something else or does not fit the network.
int shared_mean_cross_entropy(const MLP *mlp, Object split, Object out);
int shared_accuracy(const MLP *mlp, Object split, Object out);  // a float
int shared_adam_init(const Index *parameters, size_t n, Object out);
int shared_adam_step(Adam *adam, const Index *parameters, size_t n, Object out);
int shared_adamw_step(AdamW *adamw, const Index *parameters, size_t n, Object out);
int shared_sgd_momentum_step(double lr, double momentum, const Index *parameters, size_t n, Object out);

// Recordings: outputs, inputs, takes and items are lists of Values, floats and integers of such
// numbers.
int shared_recording_start(Recording *recording, Object outputs, Object inputs, Object out);
int shared_recording_choice(Recording *recording, size_t integer, Object takes, Object rows, Object out);
int shared_recording_end(Recording *recording, Object out);
int shared_recording_run(Recording *recording, Object floats, Object integers, Object out);
void shared_recording_free(Recording *recording);

#endif

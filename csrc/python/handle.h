// What handle.c and binding.c share: handles as Python objects, over the one tape.

#ifndef MICROGRAD_HANDLE_H
#define MICROGRAD_HANDLE_H

#include <pyconfig.h>
#ifdef Py_GIL_DISABLED
#error "the GIL is the lock of the tape, and this Python has none"
#endif
#define Py_LIMITED_API 0x03090000  // one binary for CPython 3.9 and later
#include <Python.h>
#include "binding.h"

extern Tape tape;

int is_value(PyObject *x);
int handle_is_at(PyObject *x, Index i);  // 1 if x is the Value of node i, which an array has; see _place
int is_recording(void);                  // 0 under no_grad, -1 with an exception set
PyObject *handle_of(Index i);            // the Value of a node, a new reference; NULL with an exception
PyObject *new_handle(Index i, int recording);  // of a result: under no_grad of a leaf with its number
void mark_unrecorded(Index i);           // a leaf that was computed under no_grad: see value_backward
void handle_drop_moments(Index i);       // attributes m and v, which Adam's moments replace
int handle_run_backward(Index i);        // call the _backward of its Value; 0, or -1 with an exception set
int handle_run_forward(Index i);         // set its number to what its _forward returns; the same
int pass_backward(Index root);           // user_passes.c: the same
int pass_forward(Index root);
void *raise_fault(void);                 // NULL, with the exception for tape.fault set
void handles_tend(void);                 // call it after anything that may have freed nodes

// x as an operand: a Value's node, or 0 and a number
typedef enum Kind {
    KIND_FAILED = -1,  // with an exception set
    KIND_OTHER,        // not a number, either
    KIND_VALUE,
    KIND_NUMBER
} Kind;

Kind operand_read(PyObject *x, Index *index, double *number);

#endif

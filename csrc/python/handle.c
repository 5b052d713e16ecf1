// The type Value: a handle on a node of the tape.
//
// A handle has the index of its node and holds it until the handle is freed. There is at most one
// handle on a node: `handles` finds it by the index. The arithmetic is in operations.c and ops.h;
// value.py adds the methods that need not be fast.
//
// Attributes that a program sets (label, _backward, anything) belong to the node and live as
// long as it does. A node with attributes is watched (see tape_watch), and is in one of two
// states:
//
//     owned   no other node uses it. When the handle's reference count drops to 0 the node is
//             freed, and the attributes with it. The garbage collector sees the attributes, so
//             cycles through them are collected.
//     used    other nodes use it, and it has to outlive its handle. The collector does not see
//             the attributes. When the handle's reference count drops to 0 the tape keeps the
//             handle itself, with a reference of its own, until no node uses it any more.
//
// Nothing here has a lock: the GIL is held everywhere, and protects the tape.

#include "handle.h"
#include <string.h>
#include <structmember.h>

Tape tape;

Tape *shared_tape(void) {
    return &tape;
}

typedef struct Handle {
    PyObject_HEAD
    Index index;           // 0 before __init__, and if its node has moved to another handle
    uint8_t is_watched;    // its node is: it has attributes, or had some
    uint8_t is_kept;       // the tape has a reference to it
    uint8_t is_tracked;    // by the garbage collector; plain handles without attributes are not
    uint8_t is_exported;   // a network or an optimiser has its index in an array
    PyObject *attributes;  // a dict or NULL; on the free list the next handle
    PyObject *weak;        // weak references to it
} Handle;

static PyTypeObject *value_type;

// the hooks that handle_type_new was given: see binding.h
static PyObject *make_error, *make_number, *tell_number, *read_node, *recompute;
static PyObject *tell_recording, *no_grad_blocks;
static PyObject *refuse_recorded, *recorders, *unsupported, *unrecorded_text;
static PyObject *methods;            // their names: set of attributes that cannot be set
static PyObject *name_data, *name_grad, *name_op, *name_backward, *name_label, *name_m, *name_v;

// by index: the handle on that node, or NULL
static Handle **handles;
static Index handles_room;
static Index handles_known;  // those up to here are initialised

static Py_tss_t *tending;     // by thread: not NULL while handles_tend is under way in it

static Handle *free_handles;  // the free list: memory of freed handles, for the next ones
static int nfree;
enum { MOST_FREE_HANDLES = 1 << 14 };

int is_value(PyObject *x) {
    return Py_TYPE(x) == value_type || PyType_IsSubtype(Py_TYPE(x), value_type);
}

static inline Index index_of(PyObject *value) {
    return ((Handle *)value)->index;
}

int handle_is_at(PyObject *x, Index i) {
    if (!is_value(x) || index_of(x) != i) return 0;
    ((Handle *)x)->is_exported = 1;
    return 1;
}

// the node of a Value; 0 with an exception set if its __init__ was not called
static inline Index node_of(PyObject *value) {
    Index i = index_of(value);
    if (!i) PyErr_SetString(PyExc_AttributeError, "this Value has no number: Value.__init__ was not called");
    return i;
}

// -----------------------------------------------------------------------------
// faults and numbers

void *raise_fault(void) {
    Fault fault = tape.fault;  // what runs below may overwrite it
    handles_tend();
    PyObject *problem =
        PyObject_CallFunction(make_error, "iiiddd", fault.code, fault.op, fault.operands, fault.a, fault.b, fault.out);
    if (problem) PyErr_SetObject((PyObject *)Py_TYPE(problem), problem);
    Py_XDECREF(problem);
    return NULL;
}

static void *no_memory(void) {
    PyErr_Clear();  // Python's own MemoryError, if there is one
    tape.fault = (Fault){.code = FAULT_MEMORY};
    return raise_fault();
}

// floats and ints, including NumPy's float64 and bools, without calling Python: 1, or 0 if it is
// something else, or -1 with an exception set
static int number_read_fast(PyObject *x, double *number) {
    PyTypeObject *type = Py_TYPE(x);
    if (type == &PyFloat_Type || PyType_IsSubtype(type, &PyFloat_Type)) {
        *number = PyFloat_AsDouble(x);
        return 1;
    }
    if (type == &PyLong_Type || type == &PyBool_Type) {
        *number = PyLong_AsDouble(x);
        return *number == -1.0 && PyErr_Occurred() ? -1 : 1;
    }
    return 0;
}

// whether x, which is no Value, is a number: 1 or 0, or -1 with an exception set
static int is_number(PyObject *x) {
    PyObject *answer = PyObject_CallFunctionObjArgs(tell_number, x, NULL);
    int found = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return found;
}

// x, which is no Value, as a number: 1, or 0 if it is none, or -1 with an exception set
static int number_read(PyObject *x, double *number) {
    int found = number_read_fast(x, number);
    if (found) return found;
    if ((found = is_number(x)) <= 0) return found;
    PyObject *converted = PyObject_CallFunctionObjArgs(make_number, x, NULL);
    if (!converted) return -1;
    *number = PyFloat_AsDouble(converted);
    Py_DECREF(converted);
    return 1;
}

// the same where only a number is allowed: 0, or -1 with a TypeError set
static int number_need(PyObject *x, double *number) {
    int found = number_read_fast(x, number);
    if (found) return found < 0 ? -1 : 0;
    PyObject *converted = PyObject_CallFunctionObjArgs(make_number, x, NULL);
    if (!converted) return -1;
    *number = PyFloat_AsDouble(converted);
    Py_DECREF(converted);
    return 0;
}

Kind operand_read(PyObject *x, Index *index, double *number) {
    *index = 0;
    if (Py_TYPE(x) != value_type) {
        if (Py_TYPE(x) == &PyFloat_Type || !PyType_IsSubtype(Py_TYPE(x), value_type)) {
            int found = number_read(x, number);
            return found < 0 ? KIND_FAILED : found ? KIND_NUMBER : KIND_OTHER;
        }
    }
    *index = node_of(x);
    return *index ? KIND_VALUE : KIND_FAILED;
}

int is_recording(void) {
    if (PySet_Size(no_grad_blocks) == 0) return 1;
    PyObject *answer = PyObject_CallObject(tell_recording, NULL);
    int recording = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return recording;
}

// in a recorded function: 1 with a RecordingError set, which says what to write instead; else 0
static int is_refused(const char *what) {
    if (PySet_Size(recorders) == 0) return 0;
    PyObject *answer = PyObject_CallFunction(refuse_recorded, "s", what);
    Py_XDECREF(answer);
    return !answer;
}

// -----------------------------------------------------------------------------
// handles: made and found

// initialise handles[i]. Memory is zeroed piece by piece: a graph that C records in one call has no
// handles, and needs none of it
static int handles_reach(Index i) {
    enum { PIECE = 4096 };
    if (i > handles_room) {
        Handle **larger = realloc(handles, ((size_t)tape.capacity + 1) * sizeof *larger);
        if (!larger) return 0;
        handles = larger;
        handles_room = tape.capacity;
    }
    Index end = handles_room - i > PIECE ? i + PIECE : handles_room;
    memset(handles + handles_known + 1, 0, (end - handles_known) * sizeof *handles);
    handles_known = end;
    return 1;
}

// the arena has shrunk
static void handles_shrink(void) {
    Handle **smaller = realloc(handles, ((size_t)tape.capacity + 1) * sizeof *smaller);
    if (!smaller) return;
    handles = smaller;
    handles_room = tape.capacity;
    if (handles_known > handles_room) handles_known = handles_room;
}

static Handle *handle_allocate(void) {
    Handle *self = free_handles;
    if (self) {
        free_handles = (Handle *)self->attributes;
        nfree--;
        Py_INCREF(self);
    } else {
        self = PyObject_GC_New(Handle, value_type);
        if (!self) return NULL;
        self->is_watched = self->is_kept = self->is_tracked = self->is_exported = 0;
        self->weak = NULL;
    }
    self->index = 0;
    self->attributes = NULL;
    return self;
}

// hold node i and make self its handle
static void handle_take(Handle *self, Index i) {
    tape_hold(&tape, i);
    self->index = i;
    handles[i] = self;
}

static void node_discard(Index i) {
    tape_discard(&tape, i);
    if (tape.nunused) handles_tend();
}

// a handle on a new node, which is discarded if there is no memory
static PyObject *handle_new(Index i) {
    Handle *self = handle_allocate();
    if (self && (i <= handles_known || handles_reach(i))) {
        handle_take(self, i);
        return (PyObject *)self;
    }
    Py_XDECREF(self);
    node_discard(i);
    return no_memory();
}

void mark_unrecorded(Index i) {
    tape.nodes[i].flags |= NODE_UNRECORDED;
}

PyObject *new_handle(Index i, int recording) {
    if (!i) return raise_fault();
    if (!recording) {
        Index leaf = tape_leaf(&tape, *tape_data(&tape, i));
        node_discard(i);
        if (!leaf) return raise_fault();
        mark_unrecorded(leaf);
        i = leaf;
    }
    return handle_new(i);
}

// Move the node and its attributes to another handle, which has none. A handle whose reference count
// is 0 may still be found by a destructor that runs before it is freed. It cannot be revived, so
// another handle takes its place.
static void handle_move(Handle *from, Handle *to) {
    to->index = from->index;
    to->attributes = from->attributes;
    to->is_watched = from->is_watched;
    handles[to->index] = to;
    from->index = 0;
    from->attributes = NULL;
    from->is_watched = 0;
    if (to->attributes) {
        to->is_tracked = 1;
        PyObject_GC_Track((PyObject *)to);
    }
}

PyObject *handle_of(Index i) {
    if (i > handles_known && !handles_reach(i)) return no_memory();
    Handle *self = handles[i];
    if (!self || Py_REFCNT(self) == 0) {
        Handle *fresh = handle_allocate();
        if (!fresh) return no_memory();
        self = handles[i];  // again: the allocation may have run the garbage collector, and destructors
        if (!self) {
            handle_take(fresh, i);
            return (PyObject *)fresh;
        }
        if (Py_REFCNT(self) == 0) {
            handle_move(self, fresh);
            return (PyObject *)fresh;
        }
        Py_DECREF(fresh);
    }
    Py_INCREF(self);
    return (PyObject *)self;
}

// -----------------------------------------------------------------------------
// attributes

// the node has attributes: watch it. 0 with an exception set
static int handle_watch(Handle *self) {
    if (!self->is_watched && self->index) {  // without a node __init__ does it later
        if (tape_watch(&tape, self->index) < 0) {
            raise_fault();
            return 0;
        }
        self->is_watched = 1;
    }
    if (!self->is_tracked) {
        self->is_tracked = 1;
        PyObject_GC_Track((PyObject *)self);
    }
    return 1;
}

// the dict, a borrowed reference; NULL with an exception set
static PyObject *attributes_of(Handle *self) {
    if (self->attributes) return self->attributes;
    PyObject *fresh = PyDict_New();
    if (!fresh || !handle_watch(self)) {
        Py_XDECREF(fresh);
        return NULL;
    }
    if (self->attributes) {  // set by a destructor that the garbage collector has run
        Py_DECREF(fresh);
    } else {
        self->attributes = fresh;
    }
    return self->attributes;
}

// an attribute; NULL if it is not there, or with an exception set
static PyObject *attribute_get(Handle *self, PyObject *name) {
    PyObject *attributes = self->attributes;
    if (!attributes) return NULL;
    Py_INCREF(attributes);  // a key's __eq__ may run, and replace it
    PyObject *x = PyDict_GetItemWithError(attributes, name);
    Py_XINCREF(x);
    Py_DECREF(attributes);
    return x;
}

static int attribute_set(Handle *self, PyObject *name, PyObject *x) {
    PyObject *attributes = attributes_of(self);
    if (!attributes) return -1;
    Py_INCREF(attributes);  // as above
    int failed = PyDict_SetItem(attributes, name, x);
    Py_DECREF(attributes);
    return failed;
}

// 1: it is removed; 0: it was not there; -1 with an exception set
static int attribute_remove(Handle *self, PyObject *name) {
    PyObject *attributes = self->attributes;
    if (!attributes) return 0;
    Py_INCREF(attributes);  // as above
    int failed = PyDict_DelItem(attributes, name);
    Py_DECREF(attributes);
    if (!failed) return 1;
    if (!PyErr_ExceptionMatches(PyExc_KeyError)) return -1;
    PyErr_Clear();
    return 0;
}

static int refuse(PyObject *name, const char *what) {
    PyErr_Format(PyExc_AttributeError, "the %s %R of a Value cannot be set", what, name);
    return -1;
}

static int is_special(PyObject *name) {
    Py_ssize_t n = PyUnicode_GetLength(name);
    return n > 4 && PyUnicode_ReadChar(name, 0) == '_' && PyUnicode_ReadChar(name, 1) == '_'
        && PyUnicode_ReadChar(name, n - 1) == '_' && PyUnicode_ReadChar(name, n - 2) == '_';
}

static int value_set_data(PyObject *self, PyObject *x, void *closure);
static int value_set_grad(PyObject *self, PyObject *x, void *closure);

static int value_setattro(PyObject *self, PyObject *name, PyObject *x) {
    Handle *handle = (Handle *)self;
    if (Py_TYPE(self) == value_type) {  // a subclass may have properties of these names
        if (name == name_data) return value_set_data(self, x, NULL);
        if (name == name_grad) return value_set_grad(self, x, NULL);
    }
    if (PyUnicode_Check(name) && is_special(name)) return refuse(name, "special attribute");
    int is_method = PySet_Contains(methods, name);
    if (is_method) return is_method < 0 ? -1 : refuse(name, "attribute");
    int failed = PyObject_GenericSetAttr(self, name, x);
    if (handle->attributes && !handle->is_watched) {
        if (!failed) failed = handle_watch(handle) ? 0 : -1;
        if (failed && PyDict_Size(handle->attributes) < 2) Py_CLEAR(handle->attributes);
    }
    return failed;
}

// -----------------------------------------------------------------------------
// garbage: a function that refers to the node with which it is kept
//
// The usual `_backward` is a closure over its own node, so the handle, its dict, the function
// and a cell form a reference cycle. Such a node is used by others until the graph above it is
// freed, and Python's collector would find only those on top: a graph of n layers would need n
// collections. So when a node loses its last user its handle is examined: if all references to
// it come from its own dict, the dict is dropped.

enum { MOST_SUSPECTS = 32 };

typedef struct Trial {
    int n;
    struct Suspect {
        PyObject *object;
        Py_ssize_t found;  // references to it from suspects that are expanded
        int is_expanded;   // these are all references to it, and what it refers to has been visited
    } suspects[MOST_SUSPECTS];
} Trial;

// besides dicts, tuples and lists: the types of suspects, and their attributes that are visited
enum { MOST_PARTS = 3 };
static struct {
    const char *parts[MOST_PARTS];
    PyTypeObject *type;           // these are set by handle_type_new
    PyObject *names[MOST_PARTS];
} containers[] = {
    {.parts = {"__closure__", "__defaults__", "__kwdefaults__"}},  // a function
    {.parts = {"cell_contents"}},
    {.parts = {"__self__"}},                                       // a method
    {.parts = {"func", "args", "keywords"}},                       // functools.partial
};
enum { CONTAINERS = sizeof containers / sizeof *containers };

static void trial_visit(Trial *trial, PyObject *x) {
    int k = 0;
    while (k < trial->n && trial->suspects[k].object != x) k++;
    if (k == trial->n) {
        if (k == MOST_SUSPECTS) return;  // then too few references are found, and nothing is dropped
        Py_INCREF(x);  // so that it outlives the trial, even if an audit hook runs Python code
        trial->suspects[trial->n++] = (struct Suspect){.object = x};
    }
    trial->suspects[k].found++;
}

static void trial_expand(Trial *trial, PyObject *x) {
    PyTypeObject *type = Py_TYPE(x);
    if (type == &PyDict_Type) {
        PyObject *key, *item;
        for (Py_ssize_t at = 0; PyDict_Next(x, &at, &key, &item);) trial_visit(trial, item);
    } else if (type == &PyTuple_Type) {
        for (Py_ssize_t k = 0; k < PyTuple_Size(x); k++) trial_visit(trial, PyTuple_GetItem(x, k));
    } else if (type == &PyList_Type) {
        for (Py_ssize_t k = 0; k < PyList_Size(x); k++) trial_visit(trial, PyList_GetItem(x, k));
    }
    for (int i = 0; i < CONTAINERS; i++) {
        if (containers[i].type != type) continue;
        for (int k = 0; k < MOST_PARTS && containers[i].names[k]; k++) {
            PyObject *y = PyObject_GetAttr(x, containers[i].names[k]);
            if (!y) {
                if (PyErr_ExceptionMatches(PyExc_ValueError)) {  // an empty cell
                    PyErr_Clear();
                } else {
                    PyErr_WriteUnraisable(x);
                }
                continue;
            }
            Py_DECREF(y);  // x has another reference
            if (y != Py_None) trial_visit(trial, y);
        }
    }
}

// true if all references to a handle come from its own dict, except `ours`, which the caller has
static int is_garbage(Handle *self, Py_ssize_t ours) {
    Trial trial = {.n = 1, .suspects = {{.object = (PyObject *)self, .is_expanded = 1}}};
    int found_all = 0;
    trial_visit(&trial, self->attributes);
    for (int k = 0; k < trial.n && !found_all;) {
        struct Suspect *suspect = &trial.suspects[k++];
        if (!suspect->is_expanded && suspect->found == Py_REFCNT(suspect->object) - 1) {  // and ours
            suspect->is_expanded = 1;
            trial_expand(&trial, suspect->object);
            found_all = trial.suspects[0].found == Py_REFCNT((PyObject *)self) - ours;
            k = 1;  // suspects before it may have all their references now
        }
    }
    for (int k = 1; k < trial.n; k++) Py_DECREF(trial.suspects[k].object);
    return found_all;
}

// the node of this handle has lost its last user
static void handle_unused(Handle *self) {
    Py_INCREF(self);
    if (self->is_kept) {
        self->is_kept = 0;
        Py_DECREF(self);
    }
    // with a weak reference that is left to the garbage collector, which clears those first
    if (self->attributes && !self->weak && is_garbage(self, 1)) Py_CLEAR(self->attributes);
    Py_DECREF(self);
}

// Handle watched nodes that have lost their last user. Dropping one may free others, in a chain of
// any length: this loop finds them, without recursion.
//
// A destructor that runs here may switch to another thread, which then runs this loop, too: so
// `tending` is by thread.
void handles_tend(void) {
    if (!tape.nunused || PyThread_tss_get(tending) || PyThread_tss_set(tending, &tape)) return;
    PyObject *type, *problem, *traceback;  // destructors must run without an exception set
    PyErr_Fetch(&type, &problem, &traceback);
    for (Index i; (i = tape_unused(&tape));) {
        if (handles[i] && Py_REFCNT(handles[i]) > 0) handle_unused(handles[i]);
    }
    PyThread_tss_set(tending, NULL);
    PyErr_Restore(type, problem, traceback);
}

// -----------------------------------------------------------------------------
// the end of a handle

// let go of the node
static void handle_release(Handle *self) {
    Index i = self->index;
    handles[i] = NULL;
    self->index = 0;
    if (self->is_watched) {
        self->is_watched = 0;
        tape_unwatch(&tape, i);
    } else {
        tape_release(&tape, i);
    }
}

// the tape keeps the handle, which becomes a plain Value if it was an instance of a subclass
static void handle_keep(Handle *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (type == value_type) {
        Py_INCREF(self);
    } else {
        PyObject_Init((PyObject *)self, value_type);
        Py_DECREF(type);
    }
    self->is_kept = 1;
    PyObject_GC_Track((PyObject *)self);
}

static void value_dealloc(PyObject *object) {
    Handle *self = (Handle *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *attributes = NULL;
    if (self->is_tracked || self->weak) {
        if (self->is_tracked) PyObject_GC_UnTrack(object);
        if (self->weak) PyObject_ClearWeakRefs(object);
        if (self->attributes && self->index && !self->is_watched) {  // see owns_attributes
            self->is_watched = tape_watch(&tape, self->index) == 0;
        }
        if (self->attributes && self->is_watched && tape.nodes[self->index].refs > 0) {
            handle_keep(self);
            return;
        }
        attributes = self->attributes;
    }
    if (self->index) handle_release(self);
    if (type == value_type && nfree < MOST_FREE_HANDLES) {
        self->is_tracked = self->is_exported = 0;
        self->attributes = (PyObject *)free_handles;
        free_handles = self;
        nfree++;
    } else {
        PyObject_GC_Del(object);
        Py_DECREF(type);
    }
    Py_XDECREF(attributes);
    if (tape.nunused) handles_tend();
    if (tape.capacity < handles_room) handles_shrink();
}

// The garbage collector sees the attributes only while the handle is its node's only owner.
// A node that is not watched may have some, too: Python's own __dict__ of a mixin creates the dict
// without calling this file.
static int owns_attributes(const Handle *self) {
    return self->attributes && (!self->index || tape.nodes[self->index].refs == !self->is_watched);
}

static int value_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    if (owns_attributes((Handle *)self)) Py_VISIT(((Handle *)self)->attributes);
    return 0;
}

static int value_clear(PyObject *self) {
    if (owns_attributes((Handle *)self)) Py_CLEAR(((Handle *)self)->attributes);
    return 0;
}

// -----------------------------------------------------------------------------
// the constructor

static PyObject *value_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    if (type == value_type) return (PyObject *)handle_allocate();
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Handle *self = (Handle *)allocate(type, 0);
    if (self) self->is_tracked = 1;
    return (PyObject *)self;
}

// put the handle on i, a new node
static int handle_replace(Handle *self, Index i) {
    if (self->is_exported) {
        node_discard(i);
        PyErr_SetString(PyExc_ValueError,
                        "a Value that a network or an optimiser has used cannot be "
                        "made anew: make another Value");
        return -1;
    }
    if (i > handles_known && !handles_reach(i)) {
        node_discard(i);
        no_memory();
        return -1;
    }
    PyObject *function = attribute_get(self, name_backward);
    int has_function = function != NULL;
    Py_XDECREF(function);
    if (!has_function && PyErr_Occurred()) {
        node_discard(i);
        return -1;
    }
    PyObject *attributes = self->attributes;
    int is_watched = attributes != NULL;
    tape_hold(&tape, i);
    if (is_watched && tape_watch(&tape, i) < 0) {
        tape_release(&tape, i);
        raise_fault();
        return -1;
    }
    if (self->index) handle_release(self);
    self->index = i;
    self->attributes = attributes;
    self->is_watched = (uint8_t)is_watched;
    handles[i] = self;
    if (self->is_kept) {  // because of its old node
        self->is_kept = 0;
        Py_DECREF(self);  // the caller has another reference
    }
    if (has_function) tape_set_function(&tape, i, 1);
    if (tape.nunused) handles_tend();
    return 0;
}

static int set_leaf(Handle *self, double data) {
    if (self->index && tape.nodes[self->index].op == OP_LEAF) {
        *tape_data(&tape, self->index) = data;
        *tape_grad(&tape, self->index) = 0.0;
        tape.nodes[self->index].flags &= (uint8_t)~NODE_UNRECORDED;
        return 0;
    }
    Index leaf = tape_leaf(&tape, data);
    if (!leaf) {
        raise_fault();
        return -1;
    }
    return handle_replace(self, leaf);
}

// operands: a tuple of Values; slopes: a tuple of as many floats, or None
static int set_node(Handle *self, double data, PyObject *operands, PyObject *slopes) {
    Py_ssize_t n = PyTuple_Size(operands);
    Index few[8], *indices = few;
    double few_slopes[8], *numbers = few_slopes;
    int failed = -1, are_made = 1;
    if (n > 8) {
        indices = malloc((size_t)n * sizeof *indices);
        numbers = malloc((size_t)n * sizeof *numbers);
    }
    if (indices && numbers) {
        for (Py_ssize_t k = 0; k < n; k++) {
            indices[k] = node_of(PyTuple_GetItem(operands, k));
            are_made = are_made && indices[k];
            if (slopes != Py_None) numbers[k] = PyFloat_AsDouble(PyTuple_GetItem(slopes, k));
        }
        Index i = are_made ? tape_user(&tape, data, indices, slopes != Py_None ? numbers : NULL, (size_t)n) : 0;
        if (i) {
            failed = handle_replace(self, i);
        } else if (are_made) {
            raise_fault();
        }
    } else {
        no_memory();
    }
    if (n > 8) {
        free(indices);
        free(numbers);
    }
    return failed;
}

// The usual arguments, which are read without calling Python: Value(data, (a, b), "name") and
// Value(data, (a, b), (slope, slope)). 1 and the slopes, a tuple or None; 0: others
static int is_plain_node(PyObject *args, PyObject **slopes) {
    *slopes = Py_None;
    if (PyTuple_Size(args) != 3) return 0;
    PyObject *operands = PyTuple_GetItem(args, 1), *op = PyTuple_GetItem(args, 2);
    if (Py_TYPE(operands) != &PyTuple_Type) return 0;
    for (Py_ssize_t k = 0; k < PyTuple_Size(operands); k++) {
        if (!is_value(PyTuple_GetItem(operands, k))) return 0;
    }
    if (Py_TYPE(op) == &PyUnicode_Type) return 1;
    if (Py_TYPE(op) != &PyTuple_Type || PyTuple_Size(op) != PyTuple_Size(operands)) return 0;
    for (Py_ssize_t k = 0; k < PyTuple_Size(op); k++) {
        PyObject *slope = PyTuple_GetItem(op, k);
        if (Py_TYPE(slope) != &PyFloat_Type && Py_TYPE(slope) != &PyLong_Type) return 0;
        if (PyFloat_AsDouble(slope) == -1.0 && PyErr_Occurred()) {  // too large an integer
            PyErr_Clear();
            return 0;
        }
    }
    *slopes = op;
    return 1;
}

// remove the name of the handle's old node
static int forget_name(Handle *self) {
    return attribute_remove(self, name_op) < 0 ? -1 : 0;
}

static int value_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    Handle *self = (Handle *)object;
    double data;
    PyObject *node = NULL, *operands, *op, *slopes = Py_None, *label = NULL;
    int has_keywords = kwargs && PyDict_Size(kwargs) > 0;
    if (!has_keywords && PyTuple_Size(args) == 1) {
        if (number_need(PyTuple_GetItem(args, 0), &data) < 0 || set_leaf(self, data) < 0) return -1;
        return forget_name(self);
    }
    if (!has_keywords && is_plain_node(args, &slopes)) {
        if (number_need(PyTuple_GetItem(args, 0), &data) < 0) return -1;
        operands = PyTuple_GetItem(args, 1);
        op = PyTuple_GetItem(args, 2);
    } else {
        node = PyObject_Call(read_node, args, kwargs);
        if (!node || !PyArg_ParseTuple(node, "dOOOO", &data, &operands, &op, &slopes, &label)) {
            Py_XDECREF(node);
            return -1;
        }
    }
    int failed = 0, recording = is_recording();
    if (recording < 0) {
        failed = -1;
    } else if (recording && PyTuple_Size(operands) > 0) {
        failed = set_node(self, data, operands, slopes);
    } else {
        failed = set_leaf(self, data);
        if (!failed && PyTuple_Size(operands) > 0) mark_unrecorded(self->index);
    }
    int has_name = PyUnicode_Check(op) && PyUnicode_GetLength(op) > 0;
    if (!failed) failed = recording && has_name ? attribute_set(self, name_op, op) : forget_name(self);
    int has_label = !failed && label ? PyObject_IsTrue(label) : 0;
    if (has_label) failed = has_label < 0 ? -1 : PyObject_SetAttr(object, name_label, label);
    Py_XDECREF(node);
    return failed;
}

// -----------------------------------------------------------------------------
// the operations

typedef Index Record(Tape *tape, Index a, Index b);
typedef Index RecordNumber(Tape *tape, Index a, double k);

// clang-format off
static Index record_add(Tape *t, Index a, Index b) { return tape_binary(t, OP_ADD, a, b); }
static Index record_mul(Tape *t, Index a, Index b) { return tape_binary(t, OP_MUL, a, b); }
// clang-format on

static Index record_add_number(Tape *t, Index a, double k) {
    return tape_binary(t, OP_ADD, a, tape_leaf(t, k));
}

static Index record_mul_number(Tape *t, Index a, double k) {
    return tape_binary(t, OP_MUL, a, tape_leaf(t, k));
}

// a op x, where a is a Value and x may be anything; form is how to write it
static inline PyObject *binary(PyObject *a, PyObject *x, const char *form, Record *record,
                               RecordNumber *record_number) {
    Index index;
    double number = 0.0;
    int recording = is_recording();
    Kind kind = recording < 0 ? KIND_FAILED : operand_read(x, &index, &number);
    if (kind == KIND_OTHER) return PyObject_CallFunction(unsupported, "OOs", a, x, form);
    Index i = kind == KIND_FAILED ? 0 : node_of(a);  // only now: what ran before may have called a.__init__ again
    if (!i) return NULL;
    i = kind == KIND_VALUE ? record(&tape, i, index) : record_number(&tape, i, number);
    return new_handle(i, recording);
}

// x op a, where a is a Value and x, on the left, is not
static inline PyObject *reflected(PyObject *x, PyObject *a, const char *form, RecordNumber *record_number) {
    return binary(a, x, form, NULL, record_number);
}

// x + a and x * a are a + x and a * x; if a is of a subclass, with its own operator
static PyObject *swapped(PyObject *x, PyObject *a, const char *method, const char *form, RecordNumber *record_number) {
    if (Py_TYPE(a) == value_type) return reflected(x, a, form, record_number);
    return PyObject_CallMethod(a, method, "O", x);
}

static PyObject *value_add(PyObject *a, PyObject *b) {
    const char *form = "a + x";
    if (!is_value(a)) return swapped(a, b, "__add__", form, record_add_number);
    return binary(a, b, form, record_add, record_add_number);
}

static PyObject *value_multiply(PyObject *a, PyObject *b) {
    const char *form = "a * x";
    if (!is_value(a)) return swapped(a, b, "__mul__", form, record_mul_number);
    return binary(a, b, form, record_mul, record_mul_number);
}

// clang-format off
static Index record_number_sub(Tape *t, Index a, double k) { return tape_number_sub(t, k, a); }
static Index record_number_div(Tape *t, Index a, double k) { return tape_number_div(t, k, a); }
// clang-format on

static PyObject *value_subtract(PyObject *a, PyObject *b) {
    if (!is_value(a)) return reflected(a, b, "x - a", record_number_sub);
    return binary(a, b, "a - x", tape_sub, tape_sub_number);
}

static PyObject *value_divide(PyObject *a, PyObject *b) {
    if (!is_value(a)) return reflected(a, b, "x / a", record_number_div);
    return binary(a, b, "a / x", tape_div, tape_div_number);
}

// clang-format off
static Index record_power(Tape *t, Index a, Index b) { return tape_binary(t, OP_POWER, a, b); }
static Index record_pow(Tape *t, Index a, double k) { return tape_pow(t, a, k, 0); }
static Index record_pow_integer(Tape *t, Index a, double k) { return tape_pow(t, a, k, 1); }
// clang-format on

static Index record_number_power(Tape *t, Index a, double k) {
    return tape_binary(t, OP_POWER, tape_leaf(t, k), a);
}

static PyObject *value_power(PyObject *a, PyObject *b, PyObject *modulus) {
    if (modulus != Py_None) {
        Py_INCREF(Py_NotImplemented);
        return Py_NotImplemented;
    }
    if (!is_value(a)) return reflected(a, b, "x ** a", record_number_power);
    // an exponent that is an integer is written as one: **2, not **2.0
    return binary(a, b, "a ** x", record_power, PyIndex_Check(b) ? record_pow_integer : record_pow);
}

static PyObject *unary(PyObject *self, Op op) {
    int recording = is_recording();
    Index i = recording < 0 ? 0 : node_of(self);
    return !i ? NULL : new_handle(tape_unary(&tape, op, i), recording);
}

static PyObject *value_negative(PyObject *self) {
    int recording = is_recording();
    Index i = recording < 0 ? 0 : node_of(self);
    return !i ? NULL : new_handle(tape_neg(&tape, i), recording);
}

static PyObject *value_absolute(PyObject *self) {
    return unary(self, OP_ABS);
}

// To add a method that records a unary operation: a line here.
#define UNARY_METHODS(X)                                                                            \
    X(relu, OP_RELU, "max(0, self): the rectified linear unit. Its slope at 0 is 0.")               \
    X(tanh, OP_TANH, "The hyperbolic tangent.")                                                     \
    X(exp, OP_EXP, "e ** self. OverflowError above about 709.78.")                                  \
    X(log, OP_LOG, "The natural logarithm. ValueError unless self is positive.")                    \
    X(sigmoid, OP_SIGMOID, "1 / (1 + e**-self), the logistic function; exact at any size of self.") \
    X(sqrt, OP_SQRT, "The square root. ValueError if self is negative.")                            \
    X(sin, OP_SIN, "The sine of self in radians. ValueError if self is infinite.")                  \
    X(cos, OP_COS, "The cosine of self in radians. ValueError if self is infinite.")

#define UNARY(name, op, doc)                                        \
    static PyObject *value_##name(PyObject *self, PyObject *none) { \
        (void)none;                                                 \
        return unary(self, op);                                     \
    }

UNARY_METHODS(UNARY)

// self == a number, which never holds, in a recorded function: 1 with a RecordingError set; else 0
static int is_refused_equality(PyObject *other) {
    if (PySet_Size(recorders) == 0) return 0;
    int found = is_number(other);
    return found < 0 || (found && is_refused("compare"));
}

// self != other where a subclass may have an == of its own
static PyObject *value_differs(PyObject *self, PyObject *other) {
    richcmpfunc compare = (richcmpfunc)PyType_GetSlot(Py_TYPE(self), Py_tp_richcompare);
    PyObject *equal = compare(self, other, Py_EQ);
    if (!equal || equal == Py_NotImplemented) return equal;
    int truth = PyObject_IsTrue(equal);
    Py_DECREF(equal);
    return truth < 0 ? NULL : PyBool_FromLong(!truth);
}

// comparisons go by the number; == is identity, which Python falls back to
static PyObject *value_compare(PyObject *self, PyObject *other, int comparison) {
    Index i, index;
    double b = 0.0;
    Kind kind = KIND_OTHER;
    if (comparison == Py_NE && Py_TYPE(self) != value_type) return value_differs(self, other);
    if (comparison != Py_EQ && comparison != Py_NE) kind = operand_read(other, &index, &b);
    else if (is_refused_equality(other)) return NULL;
    if (kind == KIND_OTHER) {
        Py_INCREF(Py_NotImplemented);
        return Py_NotImplemented;
    }
    if (kind == KIND_FAILED || is_refused("compare") || !(i = node_of(self))) return NULL;
    double a = *tape_data(&tape, i);
    if (kind == KIND_VALUE) b = *tape_data(&tape, index);
    return PyBool_FromLong(comparison == Py_LT       ? a < b
                               : comparison == Py_LE ? a <= b
                               : comparison == Py_GT ? a > b
                                                     : a >= b);
}

static Py_hash_t value_hash(PyObject *self) {
    return (Py_hash_t)((uintptr_t)self >> 4);  // identity again; its lowest bits are 0
}

// -----------------------------------------------------------------------------
// what a node has

static PyObject *value_get_data(PyObject *self, void *closure) {
    (void)closure;
    Index i = is_refused("data") ? 0 : node_of(self);
    return i ? PyFloat_FromDouble(*tape_data(&tape, i)) : NULL;
}

static PyObject *value_float(PyObject *self) {
    return is_refused("float") ? NULL : value_get_data(self, NULL);
}

// float(self); a subclass may have its own
static PyObject *as_float(PyObject *self) {
    return Py_TYPE(self) == value_type ? value_float(self) : PyNumber_Float(self);
}

static PyObject *value_item(PyObject *self, PyObject *none) {
    (void)none;
    return as_float(self);
}

static PyObject *value_int(PyObject *self) {
    PyObject *number = as_float(self), *integer = number ? PyNumber_Long(number) : NULL;
    Py_XDECREF(number);
    return integer;
}

static int value_bool(PyObject *self) {  // true for every number, as for any object in Python
    (void)self;
    return is_refused("bool") ? -1 : 1;
}

static PyObject *value_get_grad(PyObject *self, void *closure) {
    (void)closure;
    Index i = is_refused("grad") ? 0 : node_of(self);
    return i ? PyFloat_FromDouble(*tape_grad(&tape, i)) : NULL;
}

static int cannot_delete(const char *name) {
    PyErr_Format(PyExc_AttributeError, "the attribute '%s' of a Value cannot be deleted", name);
    return -1;
}

static int value_set_data(PyObject *self, PyObject *x, void *closure) {
    double data;
    (void)closure;
    if (!x) return cannot_delete("data");
    if (is_refused("set data") || !node_of(self) || number_need(x, &data) < 0) return -1;
    *tape_data(&tape, index_of(self)) = data;
    return 0;
}

static int value_set_grad(PyObject *self, PyObject *x, void *closure) {
    double grad;
    (void)closure;
    if (!x) return cannot_delete("grad");
    if (is_refused("set grad") || !node_of(self) || number_need(x, &grad) < 0) return -1;
    *tape_grad(&tape, index_of(self)) = grad;
    return 0;
}

static PyObject *value_get_prev(PyObject *self, void *closure) {
    (void)closure;
    Index i = node_of(self), few[2], *operands = few;
    if (!i) return NULL;
    size_t n = tape_operands(&tape, i, NULL);
    if (n > 2) operands = malloc(n * sizeof *operands);
    if (!operands) return no_memory();
    tape_operands(&tape, i, operands);
    for (size_t k = 0; k < n; k++) tape_hold(&tape, operands[k]);  // a destructor may call self.__init__ again
    PyObject *prev = PyTuple_New((Py_ssize_t)n);
    for (size_t k = 0; k < n && prev; k++) {
        PyObject *operand = handle_of(operands[k]);
        if (!operand || PyTuple_SetItem(prev, (Py_ssize_t)k, operand) < 0) Py_CLEAR(prev);
    }
    for (size_t k = 0; k < n; k++) tape_release(&tape, operands[k]);
    if (tape.nunused) handles_tend();
    if (operands != few) free(operands);
    return prev;
}

static PyObject *value_get_local_grads(PyObject *self, void *closure) {
    (void)closure;
    Index i = is_refused("local_grads") ? 0 : node_of(self);
    if (!i) return NULL;
    double few[2], *slopes = few;
    size_t room = tape_operands(&tape, i, NULL);
    if (room > 2) slopes = malloc(room * sizeof *slopes);
    if (!slopes) return no_memory();
    ptrdiff_t n = tape_slopes(&tape, i, slopes);
    PyObject *grads = n < 0 ? raise_fault() : PyTuple_New(n);
    for (ptrdiff_t k = 0; k < n && grads; k++) {
        PyObject *slope = PyFloat_FromDouble(slopes[k]);
        if (!slope || PyTuple_SetItem(grads, k, slope) < 0) Py_CLEAR(grads);
    }
    if (slopes != few) free(slopes);
    return grads;
}

static PyObject *value_get_op(PyObject *self, void *closure) {
    (void)closure;
    Index i = node_of(self);
    if (!i) return NULL;
    const Node *node = &tape.nodes[i];
    if (node->op == OP_POW) {
        const Node *exponent = &tape.nodes[node->b];
        PyObject *k = PyFloat_FromDouble(tape.data[node->b]);
        if (k && exponent->flags & NODE_INTEGER) {
            PyObject *integer = PyNumber_Long(k);
            Py_DECREF(k);
            k = integer;
        }
        PyObject *op = k ? PyUnicode_FromFormat("**%S", k) : NULL;
        Py_XDECREF(k);
        return op;
    }
    const char *name = op_name((Op)node->op);
    PyObject *op = *name ? NULL : attribute_get((Handle *)self, name_op);
    return op || PyErr_Occurred() ? op : PyUnicode_FromString(name);
}

static PyObject *value_get_index(PyObject *self, void *is_exported) {
    if (is_exported) ((Handle *)self)->is_exported = 1;
    Index i = node_of(self);
    return i ? PyLong_FromUnsignedLong(i) : NULL;
}

static PyObject *value_get_is_leaf(PyObject *self, void *closure) {
    (void)closure;
    Index i = node_of(self);
    return i ? PyBool_FromLong(tape.nodes[i].op == OP_LEAF) : NULL;
}

static int is_unrecorded(Index i) {
    return tape.nodes[i].op == OP_LEAF && tape.nodes[i].flags & NODE_UNRECORDED;
}

static PyObject *value_get_is_unrecorded(PyObject *self, void *closure) {
    (void)closure;
    Index i = node_of(self);
    return i ? PyBool_FromLong(is_unrecorded(i)) : NULL;
}

// for copies
static int value_set_is_unrecorded(PyObject *self, PyObject *x, void *closure) {
    (void)closure;
    Index i = node_of(self);
    if (!i) return -1;
    if (x == Py_True && tape.nodes[i].op == OP_LEAF) mark_unrecorded(i);
    return 0;
}

static PyObject *value_get_dict(PyObject *self, void *closure) {
    (void)closure;
    PyObject *attributes = attributes_of((Handle *)self);
    Py_XINCREF(attributes);
    return attributes;
}

static PyObject *no_attribute(PyObject *self, const char *name) {
    PyObject *kind = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__name__");
    if (kind) PyErr_Format(PyExc_AttributeError, "%R object has no attribute '%s'", kind, name);
    Py_XDECREF(kind);
    return NULL;
}

// Adam's moments m and v are on the tape, with the node. If no optimiser has made any, m and v are
// attributes like others
static PyObject *value_get_moment(PyObject *self, void *closure) {
    const char *name = closure;
    Index i = node_of(self);
    if (!i) return NULL;
    Index moments = tape_moments(&tape, i);
    if (moments) return PyFloat_FromDouble(*name == 'm' ? tape.data[moments] : tape.grad[moments]);
    PyObject *x = attribute_get((Handle *)self, *name == 'm' ? name_m : name_v);
    return x || PyErr_Occurred() ? x : no_attribute(self, name);
}

// as `del v.name`
static int attribute_delete(Handle *self, PyObject *key, const char *name) {
    int removed = attribute_remove(self, key);
    if (removed == 0) no_attribute((PyObject *)self, name);
    return removed > 0 ? 0 : -1;
}

void handle_drop_moments(Index i) {
    Handle *self = handles[i];
    if (!self || !self->attributes) return;
    if (attribute_remove(self, name_m) < 0) PyErr_Clear();
    if (attribute_remove(self, name_v) < 0) PyErr_Clear();
}

// both moments are in one node: if one of them is deleted the other one becomes an attribute
static int delete_moment(Handle *self, Index i, int is_m) {
    Index moments = tape_moments(&tape, i);
    if (!moments) return attribute_delete(self, is_m ? name_m : name_v, is_m ? "m" : "v");
    PyObject *other = PyFloat_FromDouble(is_m ? tape.grad[moments] : tape.data[moments]);
    int failed = other ? attribute_set(self, is_m ? name_v : name_m, other) : -1;
    Py_XDECREF(other);
    if (!failed) tape_forget_moments(&tape, self->index);  // i may be out of date: see binary
    return failed;
}

static int value_set_moment(PyObject *self, PyObject *x, void *closure) {
    int is_m = *(const char *)closure == 'm';
    Index i = node_of(self);
    if (!i) return -1;
    if (!x) return delete_moment((Handle *)self, i, is_m);
    Index moments = tape_moments(&tape, i);
    if (!moments) return attribute_set((Handle *)self, is_m ? name_m : name_v, x);
    double number;
    if (number_need(x, &number) < 0) return -1;
    moments = tape_moments(&tape, index_of(self));  // i may be out of date: see binary
    if (moments) *(is_m ? &tape.data[moments] : &tape.grad[moments]) = number;
    return 0;
}

static PyObject *value_run_rule(PyObject *self, PyObject *none) {
    (void)none;
    Index i = is_refused("backward") ? 0 : node_of(self);
    if (!i) return NULL;
    if (node_backward(&tape, i) < 0) return raise_fault();
    Py_RETURN_NONE;
}

static PyObject *value_get_backward(PyObject *self, void *closure) {
    (void)closure;
    PyObject *function = attribute_get((Handle *)self, name_backward);
    return function || PyErr_Occurred() ? function : PyObject_GetAttrString(self, "_run_rule");
}

// If the root of a graph has a function that refers to it, the graph is freed by the garbage
// collector. That counts Python's objects, and does not know how many nodes are below one.
enum { COLLECT_FROM = 1 << 20 };  // nodes
static Index collect_above = COLLECT_FROM;

static int value_set_backward(PyObject *self, PyObject *function, void *closure) {
    (void)closure;
    if (!function) {
        if (attribute_delete((Handle *)self, name_backward, "_backward") < 0) return -1;
    } else if (attribute_set((Handle *)self, name_backward, function) < 0) {
        return -1;
    }
    if (index_of(self)) tape_set_function(&tape, index_of(self), function != NULL);
    if (tape.live > collect_above) {
        PyGC_Collect();
        collect_above = tape.live < COLLECT_FROM / 2 ? COLLECT_FROM : 2 * tape.live;
    }
    return 0;
}

static PyObject *value_detach(PyObject *self, PyObject *none) {
    (void)none;
    Index i = is_refused("detach") ? 0 : node_of(self);
    return i ? new_handle(tape_leaf(&tape, *tape_data(&tape, i)), 1) : NULL;
}

static PyObject *value_backward(PyObject *self, PyObject *none) {
    (void)none;
    Index i = is_refused("backward") ? 0 : node_of(self);
    if (!i) return NULL;
    if (is_unrecorded(i) && !(tape.nodes[i].flags & NODE_FUNCTION)) {
        if (PyErr_WarnFormat(PyExc_UserWarning, 1, "%U", unrecorded_text) < 0) return NULL;
        i = index_of(self);  // a filter of warnings may have called self.__init__ again
    }
    if (tape_backward(&tape, i) == 0) Py_RETURN_NONE;
    if (tape.fault.code != FAULT_USER) return raise_fault();
    if (pass_backward(i) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *value_forward(PyObject *self, PyObject *none) {
    (void)none;
    Index i = is_refused("forward") ? 0 : node_of(self);
    if (!i) return NULL;
    if (tape_forward(&tape, i) == 0) Py_RETURN_NONE;
    if (tape.fault.code != FAULT_USER) return raise_fault();
    if (pass_forward(i) < 0) return NULL;
    Py_RETURN_NONE;
}

int handle_run_backward(Index i) {
    PyObject *value = handle_of(i);
    PyObject *function = value ? value_get_backward(value, NULL) : NULL;
    PyObject *result = function ? PyObject_CallObject(function, NULL) : NULL;
    int failed = result ? 0 : -1;
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(value);
    return failed;
}

int handle_run_forward(Index i) {
    PyObject *value = handle_of(i);
    PyObject *result = value ? PyObject_CallFunctionObjArgs(recompute, value, NULL) : NULL;
    if (result) *tape_data(&tape, i) = PyFloat_AsDouble(result);
    int failed = result ? 0 : -1;
    Py_XDECREF(result);
    Py_XDECREF(value);
    return failed;
}

// -----------------------------------------------------------------------------
// the type

#define METHOD(name, doc) {#name, value_##name, METH_NOARGS, #name "($self, /)\n--\n\n" doc}
#define UNARY_METHOD(name, op, doc) METHOD(name, doc),

static PyMethodDef value_methods[] = {
    // clang-format off
    UNARY_METHODS(UNARY_METHOD)
    // clang-format on
    METHOD(item, "Return the number, a float: what `float(self)` and `self.data` are."),
    METHOD(detach, "Return a new Value with this number and no graph below it."),
    METHOD(backward,
           "Add to each Value below this one the derivative of this one with respect to it.\n\n"
           "Sets this Value's own grad to 1, then goes through the graph once, every node\n"
           "after all those computed from it. Calling it again adds again; set grads to 0\n"
           "between steps (`zero_grad`).\n\n"
           "Raises:\n"
           "    ZeroDivisionError, OverflowError, ValueError: a derivative does not exist,\n"
           "        like that of sqrt at 0. All grads are then as they were before.\n\n"
           "Warns:\n"
           "    UserWarning: this Value was computed under no_grad, and has no graph."),
    METHOD(forward,
           "Recompute everything below this Value, and itself, from the leaves' present data.\n\n"
           "Each inner node gets the data that building the graph anew would give, and grad\n"
           "0; the leaves keep theirs. So a training loop may record its loss once and then\n"
           "call `loss.forward()` and `loss.backward()` in every step.\n\n"
           "Raises:\n"
           "    What building the graph would raise. All data are then as they were before."),
    {"_run_rule", value_run_rule, METH_NOARGS,
     "_run_rule($self, /)\n--\n\nRun this node's own rule once: pass its gradient on to its operands."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef value_attributes[] = {
    {"data", value_get_data, value_set_data,
     "The number, a float. It may be set; what was computed from it stays as it is.", NULL},
    {"grad", value_get_grad, value_set_grad,
     "The gradient, a float: what the `backward()` calls so far have added up to.", NULL},
    {"_prev", value_get_prev, NULL, "The operands, a tuple of Values.", NULL},
    {"_children", value_get_prev, NULL, "The operands, a tuple of Values: microgpt's name.", NULL},
    {"_local_grads", value_get_local_grads, NULL, "How fast this Value moves with each operand: a tuple of floats.",
     NULL},
    {"_op", value_get_op, NULL,
     "The operation that made this node: \"+\", \"*\", \"**-1\", \"tanh\" ...; \"\" for a leaf.", NULL},
    {"_backward", value_get_backward, value_set_backward,
     "Call it to run this node's own rule once; set it to a function to replace the rule.", NULL},
    {"m", value_get_moment, value_set_moment, "Adam's first moment: the running mean of the gradient.", "m"},
    {"v", value_get_moment, value_set_moment, "Adam's second moment: the running mean of the gradient's square.", "v"},
    {"_index", value_get_index, NULL, "Where the node is on the tape.", NULL},
    {"_place", value_get_index, NULL, "The same for an array that is kept: the Value cannot be made anew from then on.",
     "exported"},
    {"_is_leaf", value_get_is_leaf, NULL, "Whether this Value is computed from no others.", NULL},
    {"_is_unrecorded", value_get_is_unrecorded, value_set_is_unrecorded,
     "Whether this Value is a leaf because it was computed under no_grad.", NULL},
    {"__dict__", value_get_dict, NULL, "The attributes that have been set.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef value_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(Handle, attributes), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Handle, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static const char value_doc[] =  // value.py sets __doc__; inspect.signature reads this
    "Value(data, _prev=(), _op='', label='', *, children=None, _children=None, local_grads=None)\n--\n\n";

static PyType_Slot value_slots[] = {
    // clang-format off
    {Py_tp_doc, (void *)value_doc},
    {Py_tp_new, value_new},
    {Py_tp_init, value_init},
    {Py_tp_dealloc, value_dealloc},
    {Py_tp_traverse, value_traverse},
    {Py_tp_clear, value_clear},
    {Py_tp_setattro, value_setattro},
    {Py_tp_richcompare, value_compare},
    {Py_tp_hash, value_hash},
    {Py_tp_methods, value_methods},
    {Py_tp_getset, value_attributes},
    {Py_tp_members, value_members},
    {Py_nb_add, value_add},
    {Py_nb_subtract, value_subtract},
    {Py_nb_multiply, value_multiply},
    {Py_nb_true_divide, value_divide},
    {Py_nb_power, value_power},
    {Py_nb_negative, value_negative},
    {Py_nb_absolute, value_absolute},
    {Py_nb_float, value_float},
    {Py_nb_int, value_int},
    {Py_nb_bool, value_bool},
    {0, NULL},
    // clang-format on
};

static PyType_Spec value_spec = {
    .name = "micrograd.compiled.value.Value",
    .basicsize = sizeof(Handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = value_slots,
};

int handle_type_new(Object hooks, Object out) {
    PyObject *types[CONTAINERS];
    int is_again = value_type != NULL;  // the package is imported anew: it gets the same type
    if (!PyArg_ParseTuple((PyObject *)hooks, "OOOOOOOOOOO(OOOO)", &make_error, &make_number, &tell_number, &read_node,
                          &recompute, &tell_recording, &no_grad_blocks, &refuse_recorded, &recorders, &unsupported,
                          &unrecorded_text, &types[0], &types[1], &types[2], &types[3]))
        goto failed;
    Py_INCREF((PyObject *)hooks);  // never released: handles live to the end of the process
    for (int i = 0; i < CONTAINERS; i++) {
        containers[i].type = (PyTypeObject *)types[i];
        for (int k = 0; k < MOST_PARTS && containers[i].parts[k]; k++) {
            containers[i].names[k] = PyUnicode_InternFromString(containers[i].parts[k]);
            if (!containers[i].names[k]) goto failed;
        }
    }
    name_data = PyUnicode_InternFromString("data");
    name_grad = PyUnicode_InternFromString("grad");
    name_op = PyUnicode_InternFromString("_op");
    name_label = PyUnicode_InternFromString("label");
    name_backward = PyUnicode_InternFromString("_backward");
    name_m = PyUnicode_InternFromString("m");
    name_v = PyUnicode_InternFromString("v");
    methods = PySet_New(NULL);
    if (!tending) tending = PyThread_tss_alloc();
    if (!tending || PyThread_tss_create(tending) != 0) goto failed;
    if (!name_data || !name_grad || !name_op || !name_label || !name_backward || !name_m || !name_v || !methods)
        goto failed;
    for (const PyMethodDef *method = value_methods; method->ml_name; method++) {
        if (method->ml_meth == value_item) continue;  // scripts have attributes of this name
        PyObject *name = PyUnicode_FromString(method->ml_name);
        int added = name ? PySet_Add(methods, name) : -1;
        Py_XDECREF(name);
        if (added < 0) goto failed;
    }
    if (!is_again) value_type = (PyTypeObject *)PyType_FromSpec(&value_spec);
    if (value_type && PyList_Append((PyObject *)out, (PyObject *)value_type) == 0) return 0;
failed:
    PyErr_Clear();
    return -1;
}

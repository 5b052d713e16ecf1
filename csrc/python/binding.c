// The calls over the shared tape whose results are Python objects: see binding.h.

#include "handle.h"
#include <string.h>

// -----------------------------------------------------------------------------
// arguments and results

// append to `out` the exception that is set
static int give_problem(Object out) {
    PyObject *type, *problem, *traceback;
    PyErr_Fetch(&type, &problem, &traceback);
    PyErr_NormalizeException(&type, &problem, &traceback);
    if (!problem || PyList_Append((PyObject *)out, problem) < 0) PyErr_Clear();  // no memory
    Py_XDECREF(type);
    Py_XDECREF(problem);
    Py_XDECREF(traceback);
    return -1;
}

static int give_fault(Object out) {
    raise_fault();
    return give_problem(out);
}

// append the Values of new nodes, which are leaves under no_grad; if that fails the others are discarded
static int give_nodes(const Index *nodes, size_t n, int recording, Object out) {
    int failed = 0;
    for (size_t k = 0; k < n; k++) {
        if (!recording) mark_unrecorded(nodes[k]);
        if (failed) {
            tape_discard(&tape, nodes[k]);
            continue;
        }
        PyObject *value = new_handle(nodes[k], 1);
        failed = !value || PyList_Append((PyObject *)out, value) < 0;
        Py_XDECREF(value);
    }
    handles_tend();
    return failed ? give_problem(out) : 0;
}

static int give_node(Index i, int recording, Object out) {
    return i ? give_nodes(&i, 1, recording, out) : give_fault(out);
}

static int give_float(double x, Object out) {
    PyObject *number = PyFloat_FromDouble(x);
    int failed = !number || PyList_Append((PyObject *)out, number) < 0;
    Py_XDECREF(number);
    return failed ? give_problem(out) : 0;
}

Node shared_node(Index i) {
    return tape.nodes[i];
}

double shared_number(Index i) {
    return *tape_data(&tape, i);
}

int shared_are_plain(Object xs) {
    PyObject *list = (PyObject *)xs;
    int plain = 2;
    for (Py_ssize_t k = 0, n = PyList_Size(list); k < n; k++) {
        PyObject *x = PyList_GetItem(list, k);
        if (is_value(x)) continue;
        if (Py_TYPE(x) != &PyFloat_Type && Py_TYPE(x) != &PyLong_Type) return 0;
        plain = 1;
    }
    return plain;
}

static size_t size_of(Object xs) {
    return (size_t)PyList_Size((PyObject *)xs);
}

int shared_are_at(Object xs, const Index *places) {
    for (size_t k = 0, n = size_of(xs); k < n; k++) {
        if (!handle_is_at(PyList_GetItem((PyObject *)xs, (Py_ssize_t)k), places[k])) return 0;
    }
    return 1;
}

// an operand, or an exception set if it is none
static int operand_need(PyObject *x, Index *node, double *number) {
    Kind kind = operand_read(x, node, number);
    if (kind == KIND_OTHER) PyErr_Format(PyExc_TypeError, "expected a Value or a number, not %R", x);
    return kind == KIND_VALUE || kind == KIND_NUMBER ? 0 : -1;
}

// fill in, for each item, its node, or 0 and its number
static int read_items(Object xs, Index *nodes, double *numbers, Object out) {
    size_t n = size_of(xs);
    for (size_t k = 0; k < n; k++) {
        PyObject *x = PyList_GetItem((PyObject *)xs, (Py_ssize_t)k);
        if (operand_need(x, &nodes[k], &numbers[k]) < 0) return give_problem(out);
    }
    return 0;
}

// the same of a list of lists, each of `width` items
static int read_rows(Object rows, size_t width, Index *nodes, double *numbers, Object out) {
    for (size_t k = 0; k < size_of(rows); k++) {
        Object row = (Object)PyList_GetItem((PyObject *)rows, (Py_ssize_t)k);
        if (size_of(row) != width) return -1;
        if (read_items(row, nodes + k * width, numbers, out) < 0) return -1;
    }
    return 0;
}

// the nodes and numbers of up to three lists in one block
typedef struct Items {
    Index *nodes;
    double *numbers;
} Items;

static int items_new(Items *items, size_t n, Object out) {
    items->numbers = malloc((n + 1) * (sizeof(double) + sizeof(Index)));
    items->nodes = (Index *)(items->numbers + n + 1);
    if (items->numbers) return 0;
    tape.fault = (Fault){.code = FAULT_MEMORY};
    return give_fault(out);
}

static void items_free(Items *items) {
    free(items->numbers);
}

// -----------------------------------------------------------------------------
// functions of many Values, and networks

int shared_dot(Object ws, Object xs, Object start, Object out) {
    size_t n = size_of(ws);
    int recording = is_recording(), failed = -1;
    Items items;
    Index first;
    double number;
    if (recording < 0 || operand_need((PyObject *)start, &first, &number) < 0) return give_problem(out);
    if (items_new(&items, 2 * n, out) < 0) return -1;
    Index *w = items.nodes, *x = w + n;
    double *w_numbers = items.numbers, *x_numbers = w_numbers + n;
    if (size_of(xs) == n && read_items(ws, w, w_numbers, out) == 0 && read_items(xs, x, x_numbers, out) == 0) {
        failed = give_node((recording ? tape_dot : dot_evaluate)(&tape, first, number, w, w_numbers, x, x_numbers, n),
                           recording, out);
    }
    items_free(&items);
    return failed;
}

int shared_sum(Object xs, Object start, Object out) {
    size_t n = size_of(xs);
    int recording = is_recording(), failed = -1;
    Items items;
    Index first;
    double number;
    if (recording < 0 || operand_need((PyObject *)start, &first, &number) < 0) return give_problem(out);
    if (items_new(&items, n, out) < 0) return -1;
    if (read_items(xs, items.nodes, items.numbers, out) == 0) {
        failed = give_node((recording ? tape_sum : sum_evaluate)(&tape, first, number, items.nodes, items.numbers, n),
                           recording, out);
    }
    items_free(&items);
    return failed;
}

int shared_linear(Object xs, Object ws, size_t nout, Object out) {
    size_t nin = size_of(xs), n = size_of(ws);
    int recording = is_recording(), failed = -1;
    Items items;
    if (recording < 0) return give_problem(out);
    if (items_new(&items, n + nin + nout, out) < 0) return -1;
    Index *w = items.nodes, *x = w + n, *results = x + nin;
    double *w_numbers = items.numbers, *x_numbers = w_numbers + n;
    if (n == nin * nout && read_items(ws, w, w_numbers, out) == 0 && read_items(xs, x, x_numbers, out) == 0) {
        failed = (recording ? linear : linear_evaluate)(&tape, x, x_numbers, nin, w, w_numbers, nout, results);
        failed = failed ? give_fault(out) : give_nodes(results, nout, recording, out);
    }
    items_free(&items);
    return failed;
}

// take(items, i) of a row: a copy of each item, under no_grad its number
static int take_row(const Items *items, size_t n, int recording, Index *results) {
    for (size_t k = 0; k < n; k++) {
        Index i = items->nodes[k];
        double number = i ? *tape_data(&tape, i) : items->numbers[k];
        if (!i || !recording) i = tape_leaf(&tape, number);
        results[k] = recording ? tape_unary(&tape, OP_TAKE, i) : i;
        if (results[k]) continue;
        while (k > 0) tape_discard(&tape, results[--k]);
        return -1;
    }
    return 0;
}

int shared_take(Object xs, Object out) {
    size_t n = size_of(xs);
    int recording = is_recording(), failed = -1;
    Items items;
    if (recording < 0) return give_problem(out);
    if (items_new(&items, 2 * n, out) < 0) return -1;
    Index *results = items.nodes + n;
    if (read_items(xs, items.nodes, items.numbers, out) == 0) {
        failed = take_row(&items, n, recording, results) ? give_fault(out) : give_nodes(results, n, recording, out);
    }
    items_free(&items);
    return failed;
}

int shared_exponentials(Object xs, Object out) {
    size_t n = size_of(xs);
    int failed = -1;
    Items items;
    if (items_new(&items, 2 * n + 1, out) < 0) return -1;
    Index *results = items.nodes + n;
    if (read_items(xs, items.nodes, items.numbers, out) == 0) {
        failed = exponentials(&tape, items.nodes, n, results, results + n);
        failed = failed ? give_fault(out) : give_nodes(results, n + 1, 1, out);
    }
    items_free(&items);
    return failed;
}

int shared_softmax(Object xs, Object out) {
    size_t n = size_of(xs);
    int recording = is_recording(), failed = -1;
    Items items;
    if (recording < 0) return give_problem(out);
    if (items_new(&items, 2 * n, out) < 0) return -1;
    Index *results = items.nodes + n;
    if (read_items(xs, items.nodes, items.numbers, out) == 0) {
        failed = (recording ? softmax : softmax_evaluate)(&tape, items.nodes, n, results);
        failed = failed ? give_fault(out) : give_nodes(results, n, recording, out);
    }
    items_free(&items);
    return failed;
}

int shared_cross_entropy(Object logits, size_t target, Object out) {
    size_t n = size_of(logits);
    int recording = is_recording(), failed = -1;
    Items items;
    if (recording < 0) return give_problem(out);
    if (items_new(&items, n, out) < 0) return -1;
    if (read_items(logits, items.nodes, items.numbers, out) == 0) {
        failed = give_node((recording ? cross_entropy : cross_entropy_evaluate)(&tape, items.nodes, n, target),
                           recording, out);
    }
    items_free(&items);
    return failed;
}

int shared_mlp_call(const MLP *mlp, Object xs, Object out) {
    size_t n = size_of(xs), nout = mlp->sizes[mlp->nlayers];
    int recording = is_recording(), failed = -1;
    Items items;
    if (recording < 0) return give_problem(out);
    if (items_new(&items, n + nout, out) < 0) return -1;
    Index *results = items.nodes + n;
    if (n == mlp->sizes[0] && read_items(xs, items.nodes, items.numbers, out) == 0) {
        failed = (recording ? mlp_call : mlp_evaluate)(&tape, mlp, items.nodes, items.numbers, results);
        failed = failed ? give_fault(out) : give_nodes(results, nout, recording, out);
    }
    items_free(&items);
    return failed;
}

// Python's lists and tuples, which nothing but C reads: no code of the user's runs. -1: it is neither
static Py_ssize_t sequence_size(PyObject *x) {
    return Py_TYPE(x) == &PyTuple_Type ? PyTuple_Size(x) : Py_TYPE(x) == &PyList_Type ? PyList_Size(x) : -1;
}

static PyObject *sequence_item(PyObject *x, Py_ssize_t k) {
    return Py_TYPE(x) == &PyTuple_Type ? PyTuple_GetItem(x, k) : PyList_GetItem(x, k);
}

// is it a point ([x, ...], label) of a data set, with as many inputs as the network has?
static int is_point(const MLP *mlp, PyObject *point) {
    return sequence_size(point) == 2 && sequence_size(sequence_item(point, 0)) == (Py_ssize_t)mlp->sizes[0];
}

// a point: 1, or 0 if it has to be looked at in Python, whose checks know what is wrong, or -1 with
// an exception set
static int read_point(const MLP *mlp, PyObject *point, Index *x, double *numbers, int32_t *label) {
    PyObject *inputs = sequence_item(point, 0), *target = sequence_item(point, 1);
    if (Py_TYPE(target) != &PyLong_Type) return 0;
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(target, &overflow);
    if (overflow || number < 0 || number >= mlp->sizes[mlp->nlayers]) return 0;
    *label = (int32_t)number;
    for (Py_ssize_t k = 0; k < (Py_ssize_t)mlp->sizes[0]; k++) {
        PyObject *input = sequence_item(inputs, k);
        if (!is_value(input) && Py_TYPE(input) != &PyFloat_Type && Py_TYPE(input) != &PyLong_Type) return 0;
        if (operand_read(input, &x[k], &numbers[k]) < 0) return -1;
    }
    return 1;
}

// All points of a data set: 0, or what read_point found of one that is something else. Only after 0
// there are items to free.
static int read_split(const MLP *mlp, Object split, Items *items, int32_t **labels, Object out) {
    size_t n = size_of(split), nin = mlp->sizes[0];
    int found = 1;
    for (size_t i = 0; i < n; i++) {  // before there is memory for them
        if (!is_point(mlp, PyList_GetItem((PyObject *)split, (Py_ssize_t)i))) return 1;
    }
    if (items_new(items, n * nin + n, out) < 0) return -1;
    *labels = (int32_t *)(items->nodes + n * nin);  // as large as an Index
    for (size_t k = 0; k < n && found > 0; k++) {
        PyObject *point = PyList_GetItem((PyObject *)split, (Py_ssize_t)k);
        found = read_point(mlp, point, items->nodes + k * nin, items->numbers + k * nin, &(*labels)[k]);
    }
    if (found > 0) return 0;
    items_free(items);
    return found < 0 ? give_problem(out) : 1;
}

int shared_mean_cross_entropy(const MLP *mlp, Object split, Object out) {
    int recording = is_recording();
    Items items;
    int32_t *labels;
    if (recording < 0) return give_problem(out);
    int failed = read_split(mlp, split, &items, &labels, out);
    if (failed) return failed;
    failed = give_node((recording ? mean_cross_entropy : mean_cross_entropy_evaluate)(
                           &tape, mlp, items.nodes, items.numbers, labels, size_of(split)),
                       recording, out);
    items_free(&items);
    return failed;
}

int shared_accuracy(const MLP *mlp, Object split, Object out) {
    Items items;
    int32_t *labels;
    int failed = read_split(mlp, split, &items, &labels, out);
    if (failed) return failed;
    double share;
    failed = accuracy(&tape, mlp, items.nodes, items.numbers, labels, size_of(split), &share);
    failed = failed ? give_fault(out) : give_float(share, out);
    items_free(&items);
    return failed;
}

int shared_adam_init(const Index *parameters, size_t n, Object out) {
    if (adam_init(&tape, parameters, n) < 0) return give_fault(out);
    for (size_t k = 0; k < n; k++) handle_drop_moments(parameters[k]);
    return 0;
}

int shared_adam_step(Adam *adam, const Index *parameters, size_t n, Object out) {
    return adam_step(&tape, adam, parameters, n) < 0 ? give_fault(out) : 0;
}

int shared_adamw_step(AdamW *adamw, const Index *parameters, size_t n, Object out) {
    return adamw_step(&tape, adamw, parameters, n) < 0 ? give_fault(out) : 0;
}

int shared_sgd_momentum_step(double lr, double momentum, const Index *parameters, size_t n, Object out) {
    return sgd_momentum_step(&tape, lr, momentum, parameters, n) < 0 ? give_fault(out) : 0;
}

// -----------------------------------------------------------------------------
// recordings whose inputs change

int shared_recording_start(Recording *recording, Object outputs, Object inputs, Object out) {
    size_t n = size_of(outputs), m = size_of(inputs), computed = 0;
    Items items;
    int failed = -1;
    if (items_new(&items, n + m, out) < 0) return -1;
    Index *in = items.nodes + n;
    if (read_items(outputs, items.nodes, items.numbers, out) == 0 && read_items(inputs, in, items.numbers, out) == 0) {
        for (size_t k = 0; k < n; k++) {  // the others are leaves
            if (tape.nodes[items.nodes[k]].op != OP_LEAF) items.nodes[computed++] = items.nodes[k];
        }
        failed = recording_start(&tape, recording, items.nodes, computed, in, m) ? give_fault(out) : 0;
    }
    items_free(&items);
    return failed;
}

int shared_recording_choice(Recording *recording, size_t integer, Object takes, Object rows, Object out) {
    size_t width = size_of(takes), n = size_of(rows);
    Items items;
    int failed = -1;
    if (items_new(&items, width + n * width, out) < 0) return -1;
    Index *nodes = items.nodes + width;
    if (read_items(takes, items.nodes, items.numbers, out) == 0
        && read_rows(rows, width, nodes, items.numbers, out) == 0) {
        failed = recording_choice(&tape, recording, integer, items.nodes, width, nodes, n) ? give_fault(out) : 0;
    }
    items_free(&items);
    return failed;
}

int shared_recording_end(Recording *recording, Object out) {
    return recording_end(&tape, recording) ? give_fault(out) : 0;
}

// a Python int; -1, which is out of any range, for those that need more than 64 bits
static int64_t integer_of(PyObject *x) {
    int overflow;
    long long i = PyLong_AsLongLongAndOverflow(x, &overflow);
    return overflow ? -1 : i;
}

static int run(Recording *recording, const double *floats, const int64_t *integers, Object out) {
    if (recording_set(&tape, recording, floats, integers) < 0) return give_fault(out);
    if (!recording->root || recording_forward(&tape, recording) == 0) return 0;
    if (tape.fault.code == FAULT_USER) {
        if (pass_forward(recording->root) == 0) return 0;
        recording_undo(&tape, recording);
        return give_problem(out);
    }
    Fault fault = tape.fault;
    recording_undo(&tape, recording);
    tape.fault = fault;
    return give_fault(out);
}

int shared_recording_run(Recording *recording, Object floats, Object integers, Object out) {
    size_t n = size_of(floats), m = size_of(integers);
    double *numbers = malloc((n + 1) * sizeof(double));
    int64_t *indices = malloc((m + 1) * sizeof(int64_t));
    int failed;
    if (numbers && indices) {
        for (size_t k = 0; k < n; k++) numbers[k] = PyFloat_AsDouble(PyList_GetItem((PyObject *)floats, (Py_ssize_t)k));
        for (size_t k = 0; k < m; k++) indices[k] = integer_of(PyList_GetItem((PyObject *)integers, (Py_ssize_t)k));
        failed = run(recording, numbers, indices, out);
    } else {
        tape.fault = (Fault){.code = FAULT_MEMORY};
        failed = give_fault(out);
    }
    free(numbers);
    free(indices);
    return failed;
}

void shared_recording_free(Recording *recording) {
    recording_free(&tape, recording);
    handles_tend();
}

// What cffi does around every call from Python, made cheaper: most calls record or release one
// node, and take less time than that did. This is included by the file that cffi generates,
// and by no other. Should cffi call its macros by other names one day, it has no effect.

#include <string.h>

// cffi lets go of Python's own lock during every call. Those that are over at once keep it:
// only these let go.
static inline int is_long_call(const char *wrapper) {
    const char *name = wrapper + sizeof "_cffi_f_" - 1;
    return !strcmp(name, "shared_backward") || !strcmp(name, "shared_forward")
        || !strcmp(name, "shared_backward_until") || !strcmp(name, "shared_forward_until")
        || !strcmp(name, "shared_walk") || !strcmp(name, "shared_mean_cross_entropy")
        || !strcmp(name, "shared_mlp_call") || !strcmp(name, "shared_softmax") || !strcmp(name, "shared_dot") || !strcmp(name, "shared_sum");
}

#ifndef PYPY_VERSION
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS { PyThreadState *_state = is_long_call(__func__) ? PyEval_SaveThread() : NULL;
#define Py_END_ALLOW_THREADS if (_state) PyEval_RestoreThread(_state); }

// it keeps errno for its users; nothing here sets it
#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno()
#define _cffi_save_errno()

// and it goes through several functions to read an Index
#undef _cffi_to_c_u32
#define _cffi_to_c_u32(o) (uint32_t)PyLong_AsUnsignedLong(o)
#endif

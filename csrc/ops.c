// The names of the operations, as drawings show them.

#include "micrograd.h"

// clang-format off
const char *op_name(Op op) {
    switch (op) {
    case OP_ADD: return "+";
    case OP_MUL: return "*";
    case OP_POW: return "**k";
    case OP_POWER: return "**";
    case OP_RELU: return "ReLU";
    case OP_TANH: return "tanh";
    case OP_EXP: return "exp";
    case OP_LOG: return "log";
    case OP_SIGMOID: return "sigmoid";
    case OP_SQRT: return "sqrt";
    case OP_SIN: return "sin";
    case OP_COS: return "cos";
    case OP_ABS: return "abs";
    case OP_TAKE: return "take";
    case OP_LEAF: case OP_SHIFT: case OP_LARGER: case OP_USER: case OP_LINEAR: case OP_LIST:
    case OP_MOMENTS: case OP_FREE: return "";
    }
    return "";
}
// clang-format on

// What the page's script calls. The library itself has no state of its own; the page has one run,
// two graphs and one GPT, and each of these files keeps its own in a static variable.
//
// An int is 0, or -1 if something failed: page_fault says what. Pointers are to static arrays,
// through which the script and C give each other lists.

#ifndef MICROGRAD_PAGE_H
#define MICROGRAD_PAGE_H

#include "micrograd.h"

enum {
    INPUTS = 2,
    CLASSES = 3,
    MOST_POINTS = 1000,
    MOST_LAYERS = 5,        // the last one, of the classes, included
    MOST_NEURONS = 32,      // in a hidden layer
    MOST_PARAMETERS = 4096,
    SURFACE = 128,          // the finest grid of points at which the network is evaluated: squared
    MAP = 16,               // and that of a neuron's picture
    MOST_WORDS = 5000,
    TOKENS = 27,            // a to z, and EDGE
    EDGE = 26,              // before the first letter of a word and after its last
    POSITIONS = 16,
    WIDTH = 16,             // how many numbers stand for a letter on its way through the network
    HEADS = 4
};

#pragma GCC visibility push(default)  // these, and nothing else, are what the module exports

// -----------------------------------------------------------------------------
// numbers and faults (page.c)

const Fault *page_fault(void);       // of what failed last
const char *page_op_name(int op);
const char *page_repr(double x);     // as Python's repr
const char *page_fixed(double x);    // as Python's :.6f
double page_pow(double x, double k);  // x ** k of numbers; NaN where it has no result

// -----------------------------------------------------------------------------
// the training run (run.c)

uint32_t *run_hidden(void);          // the sizes of the hidden layers, before run_start
Point *run_points(void);             // made by run_start, or set before run_set_points

// As `python -m micrograd --seed ... --data ... --points n --hidden ...` begins
int run_start(uint64_t seed, int data_set, int n, int nhidden, int activation);
int run_set_points(int ntrain, int nval);  // the first are to train with, the next to validate with
void run_set_optimizer(int kind, double lr, double beta1, double beta2, double eps, double weight_decay);

int run_step(void);                  // forward, backward, optimiser
double run_loss(void);               // of the last step, before it moved the parameters
double run_evaluate(int val);        // the loss of a split as the parameters are now; NaN if it has none
double run_point_loss(double x, double y, int label);  // of one point as the parameters are now
double run_accuracy(int val);        // how many of its points are classified rightly, from 0 to 1

int run_nparameters(void);
const double *run_parameters(void);  // their numbers
const double *run_gradients(void);   // as the last step left them, before zero_grad

// Over a square grid of the plane, from -half to half, the upper left first:
const float *run_surface(int n, double half);  // how likely each class is
const float *run_maps(double half);  // each hidden neuron's output, MAP * MAP of them a neuron

// -----------------------------------------------------------------------------
// graphs to look at, and backward through them in steps (graph.c)

enum { OF_POINT, OF_PAD };  // which: of a point's loss, of the scratch pad

typedef struct GraphNode {
    double data, grad;
    double exponent;                 // of a power
    uint32_t index, op, a, b;        // a, b: the operands' indices, 0 where there is none
} GraphNode;

void graph_start(int which);         // empty
uint32_t graph_leaf(int which, double x);
uint32_t graph_unary(int which, int op, uint32_t a);
uint32_t graph_binary(int which, char sign, uint32_t a, uint32_t b);  // sign: + - * / or ^ for **
uint32_t graph_node_number(int which, char sign, uint32_t a, double k, int is_integer);
uint32_t graph_number_node(int which, char sign, double k, uint32_t a);

int graph_root(int which, uint32_t root);  // how many nodes are below it, root included; -1 without memory
const GraphNode *graph_nodes(int which);   // in the order of the walk, as they are now
const GraphNode *graph_node(int which, uint32_t i);  // any node since the start, as it is now

// The parameters are nodes 1, 2, ... in their order, and then come the inputs.
int graph_point(double x, double y, int label);

int graph_backward(int which);       // the whole pass, added to what gradients there are
int graph_steps(int which, int n);   // all gradients as before the last pass, and then its first n steps:
                                     // root.grad = 1, and a rule for each node, from the end of the walk's order

// -----------------------------------------------------------------------------
// the GPT of examples/gpt.py (gpt.c)

uint8_t *gpt_tokens(void);           // of a word, EDGE first
double *gpt_keys(void);              // random numbers by which to sort the words

int gpt_start(uint64_t seed, int nwords);
int gpt_step(int n, double rate);    // with the word of n tokens
double gpt_loss(void);               // of the last step's word
int gpt_nparameters(void);
int gpt_look(int n);                 // go over n tokens for the two below
const double *gpt_attention(void);   // [HEADS][POSITIONS][POSITIONS]: from which position to which
const double *gpt_probabilities(void);  // [POSITIONS][TOKENS]: of the token after each
int gpt_make_up(double temperature);  // a new word, as tokens without edges: how many

#pragma GCC visibility pop

// between these files
void page_failed(const Tape *tape);  // keep the tape's fault for page_fault
MLP run_model(Index *parameters);    // the run's network over other nodes

#endif

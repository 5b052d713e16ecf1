// Recordings whose inputs change: what they are made of. Their passes are in tape.c.

#include <stdlib.h>
#include <string.h>
#include "micrograd.h"
#include "replay.h"

static int out_of_memory(Tape *tape) {
    tape->fault = (Fault){.code = FAULT_MEMORY};
    return -1;
}

static Index *copy_held(Tape *tape, const Index *nodes, size_t n) {
    Index *copy = malloc((n + 1) * sizeof *copy);
    if (!copy) return NULL;
    for (size_t k = 0; k < n; k++) {
        copy[k] = nodes[k];
        tape_hold(tape, nodes[k]);
    }
    return copy;
}

static void release_all(Tape *tape, Index *nodes, size_t n) {
    for (size_t k = 0; nodes && k < n; k++) tape_release(tape, nodes[k]);
    free(nodes);
}

int recording_start(Tape *tape, Recording *recording, const Index *outputs, size_t noutputs,
                    const Index *inputs, size_t ninputs) {
    *recording = (Recording){.noutputs = noutputs, .ninputs = ninputs};
    recording->numbers = malloc((ninputs + 1) * sizeof(double));
    recording->outputs = copy_held(tape, outputs, noutputs);
    recording->inputs = copy_held(tape, inputs, ninputs);
    if (!recording->numbers || !recording->outputs || !recording->inputs) return out_of_memory(tape);
    recording->root = noutputs == 1 ? outputs[0] : tape_list(tape, outputs, noutputs);
    if (noutputs && !recording->root) return -1;
    if (recording->root) tape_hold(tape, recording->root);
    return 0;
}

int recording_choice(Tape *tape, Recording *recording, size_t integer, const Index *takes, size_t width,
                     const Index *items, size_t n, size_t chosen) {
    Choice *choices = realloc(recording->choices, (recording->nchoices + 1) * sizeof *choices);
    if (!choices) return out_of_memory(tape);
    recording->choices = choices;
    Choice *choice = &choices[recording->nchoices++];
    *choice = (Choice){.integer = integer, .width = (Index)width, .n = (Index)n, .chosen = (Index)chosen};
    choice->takes = copy_held(tape, takes, width);
    choice->items = copy_held(tape, items, n * width);
    if (!choice->takes || !choice->items) return out_of_memory(tape);
    for (size_t j = 0; j < width; j++) tape->nodes[takes[j]].flags |= NODE_CHOICE;
    tape->chosen++;
    return 0;
}

void recording_end(Tape *tape, Recording *recording) {
    if (recording->noutputs) tape_keep(tape, recording);
}

void recording_free(Tape *tape, Recording *recording) {
    if (recording->root) tape_release(tape, recording->root);
    for (size_t c = 0; c < recording->nchoices; c++) {
        Choice *choice = &recording->choices[c];
        release_all(tape, choice->takes, choice->width);
        release_all(tape, choice->items, (size_t)choice->n * choice->width);
    }
    release_all(tape, recording->inputs, recording->ninputs);
    release_all(tape, recording->outputs, recording->noutputs);
    free(recording->choices);
    free(recording->numbers);
    memset(recording, 0, sizeof *recording);
}

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
    recording->numbers = malloc((2 * ninputs + 1) * sizeof(double));
    recording->outputs = copy_held(tape, outputs, noutputs);
    recording->inputs = copy_held(tape, inputs, ninputs);
    if (!recording->numbers || !recording->outputs || !recording->inputs) return out_of_memory(tape);
    return 0;
}

// the row that is chosen now
static Index find_chosen(const Tape *tape, const Choice *choice) {
    for (Index k = 0; k < choice->n; k++) {
        const Index *row = choice->items + k * choice->width;
        Index j = 0;
        while (j < choice->width && tape->nodes[choice->takes[j]].a == row[j]) j++;
        if (j == choice->width) return k;
    }
    return 0;
}

int recording_choice(Tape *tape, Recording *recording, size_t integer, const Index *takes, size_t width,
                     const Index *items, size_t n) {
    Choice *choices = realloc(recording->choices, (recording->nchoices + 1) * sizeof *choices);
    if (!choices) return out_of_memory(tape);
    recording->choices = choices;
    Choice *choice = &choices[recording->nchoices++];
    *choice = (Choice){.integer = integer, .width = (Index)width, .n = (Index)n};
    choice->takes = copy_held(tape, takes, width);
    choice->items = copy_held(tape, items, n * width);
    if (!choice->takes || !choice->items) return out_of_memory(tape);
    choice->chosen = find_chosen(tape, choice);
    for (size_t j = 0; j < width; j++) tape->nodes[takes[j]].flags |= NODE_CHOICE;
    tape->chosen++;
    return 0;
}

// A plain call computes all items, whatever it chooses, and so does forward: the root is above
// them, and above all outputs.
int recording_end(Tape *tape, Recording *recording) {
    size_t n = 0, room = recording->noutputs + 1;
    for (size_t c = 0; c < recording->nchoices; c++) room += recording->choices[c].n * (size_t)recording->choices[c].width;
    Index *list = malloc(room * sizeof *list);
    if (!list) return out_of_memory(tape);
    for (size_t c = 0; c < recording->nchoices; c++) {
        const Choice *choice = &recording->choices[c];
        for (size_t k = 0; k < (size_t)choice->n * choice->width; k++) {
            if (tape->nodes[choice->items[k]].op != OP_LEAF) list[n++] = choice->items[k];
        }
    }
    for (size_t k = 0; k < recording->noutputs; k++) list[n++] = recording->outputs[k];
    if (n > 0) recording->root = n == 1 ? list[0] : tape_list(tape, list, n);
    free(list);
    if (n == 0) return 0;
    if (!recording->root) return -1;
    tape_hold(tape, recording->root);
    if (recording->noutputs) tape_keep(tape, recording);
    return 0;
}

void recording_free(Tape *tape, Recording *recording) {
    Replay *replay = tape_let_go(tape, recording);
    if (recording->root) tape_release(tape, recording->root);
    for (size_t c = 0; c < recording->nchoices; c++) {
        Choice *choice = &recording->choices[c];
        release_all(tape, choice->takes, choice->width);
        release_all(tape, choice->items, (size_t)choice->n * choice->width);
    }
    release_all(tape, recording->inputs, recording->ninputs);
    release_all(tape, recording->outputs, recording->noutputs);
    tape_drop(tape, replay);
    free(recording->choices);
    free(recording->numbers);
    memset(recording, 0, sizeof *recording);
}

// Recordings whose inputs change: leaves get other numbers, nodes of OP_TAKE other operands, and
// forward goes over what was recorded.

#include <stdlib.h>
#include <string.h>
#include "tape.h"

// -----------------------------------------------------------------------------
// the replay compiled from a recording, kept with the first output

Replay *tape_replay(const Tape *tape, Index root) {
    const Schedule *schedule = schedule_find(tape, root, SCHEDULE_RECORDING);
    return schedule ? schedule->replay : NULL;
}

// two recordings may have the same first output
static int is_kept(const Tape *tape, const Recording *recording) {
    if (!recording->noutputs || !recording->outputs) return 0;
    const Schedule *schedule = schedule_find(tape, recording->outputs[0], SCHEDULE_RECORDING);
    return schedule && schedule->outputs == recording->outputs;
}

static Replay *replay_of(const Tape *tape, const Recording *recording) {
    return is_kept(tape, recording) ? tape_replay(tape, recording->outputs[0]) : NULL;
}

// Without memory, or if the graph cannot be compiled, each forward pass walks the graph.
static void recording_compile(Tape *tape, const Recording *recording) {
    Index first = recording->outputs[0];
    Schedule *schedule = schedule_find(tape, first, SCHEDULE_RECORDING) ? NULL : schedule_new();
    if (!schedule) return;
    schedule->forwards = 2;
    schedule->outputs = recording->outputs;
    schedule->has_choices = recording->nchoices > 0;
    schedule->chosen = tape->chosen;
    int kinds = SCHEDULE_RECORDING | (recording->root == first ? SCHEDULE_FORWARD : 0);
    schedule = schedule_keep(tape, schedule, first, kinds);
    if (!schedule) return;
    schedule->replay =
        replay_new(tape, recording->outputs, recording->noutputs, recording->choices, recording->nchoices);
    if (!schedule->replay) schedules_drop(tape, first);
}

// Take the replay off the tape before the recording releases its nodes. Usually all of them are freed
// then, and the numbers that the replay holds need not be written to them.
static Replay *replay_detach(Tape *tape, const Recording *recording) {
    if (!is_kept(tape, recording)) return NULL;
    Schedule *schedule = schedule_find(tape, recording->outputs[0], SCHEDULE_RECORDING);
    Replay *replay = schedule->replay;
    schedule->replay = NULL;
    for (Replay **link = &tape->held; replay && *link; link = &(*link)->next_held) {
        if (*link != replay) continue;
        *link = replay->next_held;
        break;
    }
    schedules_drop(tape, recording->outputs[0]);
    tape->trim_later += replay != NULL;  // it still has indices of nodes
    return replay;
}

// After the release: write the numbers to its nodes if any is still alive, and free it.
static void replay_drop(Tape *tape, Replay *replay) {
    if (!replay) return;
    if (replay_is_alive(tape, replay)) {
        if (replay->holds) replay_settle(tape, replay);
        replay_unmark(tape, replay);
    }
    replay_free(replay);
    tape->trim_later--;
    if (tape->live < tape->trim_below && !tape->trim_later) arena_trim(tape);
}

// -----------------------------------------------------------------------------
// made and freed

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

int recording_start(Tape *tape, Recording *recording, const Index *outputs, size_t noutputs, const Index *inputs,
                    size_t ninputs) {
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

// The root is above all outputs, and above all items of choices: forward computes all of them, as a
// plain call does.
int recording_end(Tape *tape, Recording *recording) {
    size_t n = 0, room = recording->noutputs + 1;
    for (size_t c = 0; c < recording->nchoices; c++)
        room += recording->choices[c].n * (size_t)recording->choices[c].width;
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
    if (recording->noutputs) recording_compile(tape, recording);
    return 0;
}

void recording_free(Tape *tape, Recording *recording) {
    Replay *replay = replay_detach(tape, recording);
    if (recording->root) tape_release(tape, recording->root);
    for (size_t c = 0; c < recording->nchoices; c++) {
        Choice *choice = &recording->choices[c];
        release_all(tape, choice->takes, choice->width);
        release_all(tape, choice->items, (size_t)choice->n * choice->width);
    }
    release_all(tape, recording->inputs, recording->ninputs);
    release_all(tape, recording->outputs, recording->noutputs);
    replay_drop(tape, replay);
    free(recording->choices);
    free(recording->numbers);
    memset(recording, 0, sizeof *recording);
}

// -----------------------------------------------------------------------------
// a call: set the inputs, and go forward

static void choose(Tape *tape, Recording *recording, size_t c, Index item) {
    Choice *choice = &recording->choices[c];
    Node *nodes = tape->nodes;
    if (choice->chosen == item) return;
    for (Index j = 0; j < choice->width; j++) {
        Node *take = &nodes[choice->takes[j]];
        nodes[take->a].refs--;  // never 0: the recording holds it
        take->a = choice->items[item * choice->width + j];
        nodes[take->a].refs++;
    }
    choice->chosen = item;
    tape->chosen++;
    tape->touched++;
    Replay *replay = replay_of(tape, recording);
    if (replay) replay_choose(replay, c, item);
}

int recording_set(Tape *tape, Recording *recording, const double *numbers, const int64_t *integers) {
    for (size_t c = 0; c < recording->nchoices; c++) {
        const Choice *choice = &recording->choices[c];
        int64_t i = integers[choice->integer];
        if (i >= 0 && i < (int64_t)choice->n) continue;
        tape->fault = (Fault){.code = FAULT_INDEX, .operands = 2, .a = (double)i, .b = choice->n};
        return -1;
    }
    for (size_t c = 0; c < recording->nchoices; c++) {
        recording->choices[c].before = recording->choices[c].chosen;
        choose(tape, recording, c, (Index)integers[recording->choices[c].integer]);
    }
    for (size_t k = 0; k < recording->ninputs; k++) {
        Index input = recording->inputs[k];
        settle(tape, input);
        recording->numbers[2 * k] = tape->data[input];
        recording->numbers[2 * k + 1] = tape->grad[input];
        tape->data[input] = numbers[k];
        tape->grad[input] = 0.0;
    }
    return 0;
}

void recording_undo(Tape *tape, Recording *recording) {
    for (size_t c = recording->nchoices; c > 0; c--) choose(tape, recording, c - 1, recording->choices[c - 1].before);
    for (size_t k = recording->ninputs; k > 0; k--) {
        Index input = recording->inputs[k - 1];
        settle(tape, input);
        tape->data[input] = recording->numbers[2 * k - 2];
        tape->grad[input] = recording->numbers[2 * k - 1];
    }
}

int recording_forward(Tape *tape, Recording *recording) {
    Replay *replay = replay_of(tape, recording);
    if (replay) {
        settle_outputs(tape, replay);
        if (replay_forward(tape, replay) == 0) return 0;
    }
    return walk_forward(tape, recording->root);
}

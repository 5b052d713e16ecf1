// What changes in the programs when a choice takes another item.
//
// Of the takes it is an operand: replay_choose writes the item's slot into their instructions. If the
// items are leaves, rows of an embedding table for example, that is all.
//
// If they are inner nodes, the order of backward changes, too. A cross-entropy loss is
//
//     e = [exp(r) for r in W @ x];  loss = -log(take(e, target) / sum(e))
//
// From the root, the pass over the nodes comes to the chosen e first, by way of the take, and to what
// all of them are computed from along with it. So in backward its turn is last, and the gradient of x
// gets the chosen row's part last. This is the one case that is compiled: each item is computed from
// a row of its own, all rows are in one batch of the backward program, and replay_choose puts them in
// order. Any other choice among inner nodes is refused, and then there is no replay.

#include <stdlib.h>
#include <string.h>
#include "compile.h"

// has each take among inner nodes at most one user that passes a gradient on?
int compiler_takes_are_used_once(const Compiler *compiler) {
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        for (Index j = 0; j < choice->width; j++) {
            Index take = place_of(compiler, choice->takes[j]);
            if (take && is_inner_take(compiler, take) && compiler->uses[take].adders > 1) return 0;
        }
    }
    return 1;
}

// The operand by which an instruction may be computed from a row: the only one that is neither a leaf
// nor a shift; 0 if there is none, or more than one, or it has other users.
static Index next_below(const Compiler *compiler, Index place) {
    Index found = 0, operands[] = {compiler->places[place].a, compiler->places[place].b};
    for (int k = 0; k < 2; k++) {
        Index kind = compiler->places[operands[k]].kind;
        if (!operands[k] || kind == OP_SHIFT || kind == OP_LEAF) continue;
        if (found || compiler->uses[operands[k]].adders != 1) return 0;
        found = operands[k];
    }
    return found;
}

// the row that an item is computed from; 0 if it is not known to be the item's own
static Index row_below(const Compiler *compiler, Index item) {
    Index row = item;
    while (row && !compiler->places[row].terms) row = next_below(compiler, row);
    const Place *place = &compiler->places[row];
    if (!row || place->kind != PRODUCTS || !place->has_leaves) return 0;  // weights and bias must be leaves
    return compiler->places[place->a].kind == OP_LEAF ? row : 0;
}

// The place of the items' sum, if it is as in a softmax: it adds the items in order; nothing else but
// the take uses them; the walk has come to the take before the sum, and to the take's only user,
// which is no dot, after it; and forward computes all items before the take. Else 0.
static Index sum_of_items(const Compiler *compiler, const Choice *choice) {
    Index chosen = place_of(compiler, choice->items[choice->chosen]), at = place_of(compiler, choice->takes[0]);
    Index end = compiler->uses[place_of(compiler, choice->items[choice->chosen == 0])].user;
    Index user = compiler->uses[at].user;
    const Place *take = &compiler->places[at], *sum = &compiler->places[end];
    if (!end || !sum->terms || user < end || sum->since < at) return 0;
    if (compiler->places[user].terms) return 0;  // a dot: compiler_backward_tasks does not look inside
    const Link *links = compiler->links + sum->first;
    Index k = sum->a == place_of(compiler, choice->items[0]);
    for (Index t = 0; t < sum->terms; t++) {
        if (links[t].product) return 0;
        if (compiler->places[links[t].x].kind == OP_LEAF) continue;
        if (k == choice->n || links[t].x != place_of(compiler, choice->items[k++])) return 0;
    }
    for (Index j = 0; j < choice->n && k == choice->n; j++) {
        Index item = place_of(compiler, choice->items[j]);
        if (compiler->uses[item].adders != 1u + (item == chosen) || compiler->places[item].level >= take->level)
            return 0;
    }
    return k == choice->n ? end : 0;
}

static inline void note_seen(const Compiler *compiler, Task *task, Index operand) {
    Seen *seen = &compiler->seen[operand];
    if (seen->scan != compiler->scans) *seen = (Seen){.scan = compiler->scans};
    if (seen->last != task->place) *seen = (Seen){compiler->scans, task->place, seen->last};
}

// find the last two users of each place, among the instructions after `after` and up to `end`
static void scan_users(Compiler *compiler, Index after, Index end) {
    if (compiler->scans == 0) memset(compiler->seen, 0, ((size_t)compiler->n + 1) * sizeof(Seen));
    compiler->scans++;
    for (Index k = after + 1; k <= end; k++) {
        Task task = {.place = k};
        if (passes_on(compiler->places[k].kind)) visit_operands(compiler, &task, 1, note_seen);
    }
}

// Has a leaf no user but this one among the instructions that were scanned and come after `after`?
static int is_unused(const Compiler *compiler, Index leaf, Index user, Index after) {
    const Seen *seen = &compiler->seen[leaf];
    return seen->scan != compiler->scans || (seen->last == user ? seen->before : seen->last) <= after;
}

// The leaves of a row, and those between it and its item, may have other users only if the walk comes
// to these before the chosen row's product, and so before any row's, or after the sum. Then their
// turn in backward does not depend on which item is chosen.
static int is_alone(const Compiler *compiler, Index item, Index chosen) {
    Index row = row_below(compiler, item), limit = compiler->places[chosen].since;
    const Link *links = compiler->links + compiler->places[chosen].first;
    const Link *own = compiler->links + compiler->places[row].first;
    for (Index i = item; i != row; i = next_below(compiler, i)) {
        Index operands[] = {compiler->places[i].a, compiler->places[i].b};
        for (int k = 0; k < 2; k++) {
            if (!operands[k] || compiler->places[operands[k]].kind != OP_LEAF) continue;
            if (!is_unused(compiler, operands[k], i, chosen)) return 0;
        }
    }
    for (Index k = 0; k < compiler->places[chosen].terms; k++) {
        if (limit < links[k].w) limit = links[k].w;
        if (limit < links[k].x) limit = links[k].x;
        if (!is_unused(compiler, own[k].w, row, limit)) return 0;
        if (k == 0 && !is_unused(compiler, compiler->places[row].a, row, limit)) return 0;
    }
    return 1;
}

static int are_alone(Compiler *compiler, const Choice *choice, Index end) {
    Index chosen = row_below(compiler, place_of(compiler, choice->items[choice->chosen]));
    const Link *first = &compiler->links[compiler->places[chosen].first];
    Index after = compiler->places[chosen].since;
    if (after < first->w) after = first->w;
    if (after < first->x) after = first->x;
    scan_users(compiler, after, end);
    for (Index r = 0; r < choice->n; r++) {
        if (!is_alone(compiler, place_of(compiler, choice->items[r]), chosen)) return 0;
    }
    return 1;
}

// The rows of a choice among inner nodes, and where they are in the backward program; 0 if the order of
// backward is not known for each item.
static int find_rows(Compiler *compiler, const Choice *choice, Switch *chooser) {
    const Program *program = &compiler->replay->backward;
    Index lowest = program->ndots, highest = 0;
    Index take = place_of(compiler, choice->takes[0]);
    if (!take || take > compiler->m || choice->n == 1) return 1;  // not in backward, or always the same item
    Index end = sum_of_items(compiler, choice);
    if (!end) return 0;
    chooser->rows = malloc(choice->n * sizeof(Dot));
    if (!chooser->rows) return 0;
    for (Index k = 0; k < choice->n; k++) {
        Index row = row_below(compiler, place_of(compiler, choice->items[k]));
        if (!row) return 0;
        Index at = compiler->where[row];
        if (at == NOWHERE) return 0;
        chooser->rows[k] = program->dots[at];
        if (at < lowest) lowest = at;
        if (at > highest) highest = at;
    }
    chooser->first = lowest;
    chooser->nrows = choice->n;
    if (highest - lowest + 1 != choice->n) return 0;
    for (Index i = 0; i < program->nbatches; i++) {
        const Batch *batch = &program->batches[i];
        if (batch->op != ROWS || batch->first > lowest || highest >= batch->first + batch->n) continue;
        return are_alone(compiler, choice, end);
    }
    return 0;
}

// A take that is not in a program gets the index after its last instruction, where there is room.
int compiler_make_switches(Compiler *compiler, const Index *forward) {
    Replay *replay = compiler->replay;
    replay->switches = calloc(compiler->nchoices + 1, sizeof(Switch));
    if (!replay->switches) return 0;
    for (size_t c = 0; c < compiler->nchoices; c++) {
        const Choice *choice = &compiler->choices[c];
        Switch *chooser = &replay->switches[replay->nswitches++];
        size_t n = (size_t)choice->n * choice->width;
        chooser->width = choice->width;
        chooser->items = malloc((n + 2 * (size_t)choice->width) * sizeof(Index));
        if (!chooser->items) return 0;
        chooser->forward = chooser->items + n;
        chooser->backward = chooser->forward + choice->width;
        int leaves = 0;
        for (size_t k = 0; k < n; k++) {
            chooser->items[k] = slot_of(compiler, choice->items[k]);
            leaves += compiler->nodes[choice->items[k]].op == OP_LEAF;
        }
        for (Index j = 0; j < choice->width; j++) {
            Index take = place_of(compiler, choice->takes[j]);
            chooser->forward[j] = forward[take] != NOWHERE ? forward[take] : replay->forward.ninstructions;
            chooser->backward[j] =
                compiler->where[take] != NOWHERE ? compiler->where[take] : replay->backward.ninstructions;
        }
        if (leaves != (int)n && (leaves || choice->width != 1 || !find_rows(compiler, choice, chooser))) return 0;
    }
    return 1;
}

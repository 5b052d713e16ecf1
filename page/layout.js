// A layered drawing of a graph: where its boxes stand, and how the lines between them run. The same
// four steps as micrograd/layout.py, after Sugiyama, Tagawa and Toda (1981):
//
// 1. columns: each box stands as far right as it can, left of all that its edges lead to
// 2. what spans several columns gets a point in each column between, its bend. All edges from a box
//    share the bends, so that they run as one line from which branches go off
// 3. order: sweeps from side to side sort each column by the mean place of the neighbours; the order
//    with the fewest crossings is kept
// 4. heights: sweeps again move everything toward its neighbours, as far as order and distances let it

const ORDER_SWEEPS = 8;
const HEIGHT_SWEEPS = 12;
const BOX_DISTANCE = 14; // between boxes, one above the other
const BEND_DISTANCE = 9; // between lines that run side by side
const COLUMN_DISTANCE = 34; // the least; more where lines are steep
const PULLS = [8, 0.1, 1]; // how strongly neighbours pull, by how many of the two are boxes

// sizes: [width, height] of each box; edges: [from, to] pairs of places in sizes. Returns {width,
// height, corners, lines}: of each box its upper left corner, and lines [x0, x1, x2, x3, y0, y1, to]:
// level at y0 from x0 to x1, a curve to (x2, y1), level to x3; to is the box that it enters, or -1 at a bend.
export function layout(sizes, edges) {
    const targets = sizes.map(() => []);
    for (const [a, b] of edges) if (!targets[a].includes(b)) targets[a].push(b);
    const columns = findColumns(targets);
    const graph = bend(columns, targets);
    const order = findOrder(graph);
    const heights = graph.owner.map((_, i) => (i < sizes.length ? sizes[i][1] : 0));
    return drawn(graph, sizes, columns, findHeights(graph, order, heights, sizes.length));
}

// ----------------------------------------------------------------------------
// 1. columns: as many before the last as the longest way to it is long

function findColumns(targets) {
    const sources = targets.map(() => []);
    targets.forEach((bs, a) => bs.forEach(b => sources[b].push(a)));
    const leftOver = targets.map(bs => bs.length);
    const distance = targets.map(() => 0);
    const ready = [...targets.keys()].filter(a => leftOver[a] === 0);
    for (const b of ready) { // which grows meanwhile
        for (const a of sources[b]) {
            distance[a] = Math.max(distance[a], distance[b] + 1);
            if (--leftOver[a] === 0) ready.push(a);
        }
    }
    const longest = Math.max(0, ...distance);
    return distance.map(d => longest - d);
}

// ----------------------------------------------------------------------------
// 2. bends: every edge goes from a column to the next then

function bend(boxColumns, targets) {
    const columns = [...boxColumns];
    const owner = [...columns.keys()]; // of a bend, the box from which its line comes
    const right = columns.map(() => []), left = columns.map(() => []);
    const join = (a, b) => {
        right[a].push(b);
        left[b].push(a);
    };
    targets.forEach((bs, a) => {
        let here = a;
        const last = Math.max(0, ...bs.map(b => boxColumns[b]));
        for (let column = boxColumns[a] + 1; column <= last; column++) {
            for (const b of bs) if (boxColumns[b] === column) join(here, b);
            if (column === last) break;
            const point = columns.push(column) - 1;
            owner.push(a);
            right.push([]);
            left.push([]);
            join(here, point);
            here = point;
        }
    });
    const members = Array.from({ length: Math.max(-1, ...boxColumns) + 1 }, () => []);
    [...owner.keys()].sort((i, j) => owner[i] - owner[j]).forEach(i => members[columns[i]].push(i));
    return { columns, owner, right, left, members };
}

// ----------------------------------------------------------------------------
// 3. order

const number = (place, column) => column.forEach((i, k) => (place[i] = k));

function findOrder(graph) {
    let order = graph.members.map(column => [...column]);
    let best = order, fewest = crossings(graph, order);
    const place = [];
    for (let sweep = 0; sweep < ORDER_SWEEPS && fewest > 0; sweep++) {
        order.forEach(column => number(place, column));
        const neighbours = sweep % 2 ? graph.left : graph.right;
        order = order.map(column => [...column]);
        for (const column of sweep % 2 ? order : [...order].reverse()) {
            const mean = [];
            for (const i of column) {
                const near = neighbours[i];
                mean[i] = near.length ? near.reduce((sum, j) => sum + place[j], 0) / near.length : place[i];
            }
            column.sort((i, j) => mean[i] - mean[j]);
            number(place, column);
        }
        const found = crossings(graph, order);
        if (found < fewest) [best, fewest] = [order, found];
    }
    return best;
}

// pairs of lines that cross
function crossings(graph, order) {
    const place = [];
    order.forEach(column => number(place, column));
    let count = 0;
    for (const column of order) {
        const ends = []; // of the lines so far, sorted: those below this one cross it
        for (const i of column) {
            const to = graph.right[i].map(j => place[j]).sort((a, b) => a - b);
            for (const end of to) count += ends.length - after(ends, end);
            for (const end of to) ends.splice(after(ends, end), 0, end);
        }
    }
    return count;
}

// how many of a sorted list are at most x
function after(list, x) {
    let low = 0, high = list.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle] <= x) low = middle + 1;
        else high = middle;
    }
    return low;
}

// ----------------------------------------------------------------------------
// 4. heights

function findHeights(graph, order, heights, boxes) {
    const gaps = order.map(column =>
        column.slice(1).map((j, k) => {
            const i = column[k];
            return (heights[i] + heights[j]) / 2 + (i < boxes && j < boxes ? BOX_DISTANCE : BEND_DISTANCE);
        }),
    );
    const y = heights.map(() => 0);
    order.forEach((column, k) => {
        let at = -gaps[k].reduce((sum, gap) => sum + gap, 0) / 2;
        column.forEach((i, j) => {
            y[i] = at;
            at += gaps[k][j] ?? 0;
        });
    });
    for (let sweep = 0; sweep < HEIGHT_SWEEPS; sweep++) {
        const neighbours = sweep % 2 ? graph.left : graph.right;
        const last = sweep >= HEIGHT_SWEEPS - 2;
        const places = [...order.keys()];
        for (const k of sweep % 2 ? places : places.reverse()) {
            const wanted = [], weights = [];
            for (const i of order[k]) {
                let weight = 0, sum = 0;
                for (const j of last ? [...graph.left[i], ...graph.right[i]] : neighbours[i]) {
                    const pull = PULLS[(i < boxes) + (j < boxes)];
                    weight += pull;
                    sum += pull * y[j];
                }
                wanted.push(weight ? sum / weight : y[i]);
                weights.push(weight || 0.1);
            }
            apart(wanted, weights, gaps[k]).forEach((at, j) => (y[order[k][j]] = at));
        }
    }
    const top = y.reduce((least, at, i) => Math.min(least, at - heights[i] / 2), Infinity);
    return y.map(at => Math.round(at - top));
}

// The places nearest to those wanted, by least squares, that are these gaps apart: neighbours in the
// wrong order are put together at their mean, again and again.
function apart(wanted, weights, gaps) {
    const offsets = [0];
    for (const gap of gaps) offsets.push(offsets[offsets.length - 1] + gap);
    const groups = []; // [mean, weight, count]
    wanted.forEach((at, k) => {
        let mean = at - offsets[k], weight = weights[k], count = 1;
        while (groups.length && groups[groups.length - 1][0] > mean) {
            const [other, more, n] = groups.pop();
            mean = (mean * weight + other * more) / (weight + more);
            weight += more;
            count += n;
        }
        groups.push([mean, weight, count]);
    });
    const means = groups.flatMap(([mean, , count]) => Array(count).fill(mean));
    return means.map((mean, k) => mean + offsets[k]);
}

// ----------------------------------------------------------------------------
// all together

function drawn(graph, sizes, columns, y) {
    const n = sizes.length;
    const widths = graph.members.map(column => Math.max(0, ...column.filter(i => i < n).map(i => sizes[i][0])));
    const lefts = [0];
    for (let k = 1; k < widths.length; k++) {
        let steepest = 0;
        for (const i of graph.members[k - 1]) {
            for (const j of graph.right[i]) steepest = Math.max(steepest, Math.abs(y[i] - y[j]));
        }
        lefts[k] = lefts[k - 1] + widths[k - 1] + Math.round(COLUMN_DISTANCE + Math.min(0.15 * steepest, 90));
    }
    const line = (i, j) => {
        const k = graph.columns[i], m = graph.columns[j];
        const leaves = lefts[k] + (i < n ? widths[k] : 0), arrives = lefts[m] + (j < n ? widths[m] - sizes[j][0] : 0);
        return [leaves, lefts[k] + widths[k], lefts[m], arrives, y[i], y[j], j < n ? j : -1];
    };
    const lines = sizes.map(() => []);
    graph.owner.forEach((owner, i) => graph.right[i].forEach(j => lines[owner].push(line(i, j))));
    return {
        width: widths.length ? lefts[widths.length - 1] + widths[widths.length - 1] : 0,
        height: Math.max(0, ...sizes.map(([, h], i) => y[i] + h / 2)),
        // boxes end where their column ends: their lines all leave there
        corners: sizes.map(([w, h], i) => [lefts[columns[i]] + widths[columns[i]] - w, y[i] - h / 2]),
        lines,
    };
}

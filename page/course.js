// The printed lines beside the course's, digit by digit.

import { element } from "./elements.js";
import { t } from "./text.js";

export const courseLines = () => document.getElementById("course").textContent.trim().split("\n");

const number = line => line.slice(line.lastIndexOf(" ") + 1);

// Which digit is the first to differ (counted from the first that is not 0, from 1), or 0 if none is.
function firstDigit(a, b) {
    if (a === b) return 0;
    const digits = text => text.replace(/e.*$/, "").replace(/^-?[0.]*/, "").replace(".", "");
    const [x, y] = [digits(a), digits(b)];
    let k = 0;
    while (k < x.length && x[k] === y[k]) k++;
    return k + 1;
}

// {step, digit} of the first line that differs, or null; and how many of the lines are the same.
export function compare(lines, course) {
    let first = null, equal = 0;
    const n = Math.min(lines.length, course.length);
    for (let k = 0; k < n; k++) {
        if (lines[k] === course[k]) equal++;
        else first ??= { step: Number(lines[k].match(/\d+/)[0]), digit: firstDigit(number(lines[k]), number(course[k])) };
    }
    return { first, equal, n };
}

// A number with the part marked in which it differs from the other.
function marked(mine, other) {
    let k = 0;
    while (k < mine.length && mine[k] === other?.[k]) k++;
    if (other === undefined || k === mine.length) return [mine];
    return [mine.slice(0, k), element("mark", {}, mine.slice(k))];
}

// A row of the table: line k of this page, and the course's number if there is a course with such a line.
export function row(line, course, k) {
    const mine = number(line), other = course?.[k] && number(course[k]);
    const cells = [element("td", {}, line.slice(0, -mine.length), ...marked(mine, other))];
    if (other !== undefined) cells.push(element("td", {}, other));
    else if (k === course?.length) cells.push(element("td", {}, t("courseEnds")));
    return element("tr", {}, ...cells);
}

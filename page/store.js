// What the browser keeps for the next visit. It may refuse, as some do to a file: then it is for this time only.

const PREFIX = "micrograd-";

export function keep(name, value) {
    try {
        localStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
        // as above
    }
}

// What was kept, or null.
export function kept(name) {
    try {
        return JSON.parse(localStorage.getItem(PREFIX + name));
    } catch {
        return null;
    }
}

"""The C file around the statements of a graph: what comes before them, their functions, main."""

from __future__ import annotations

import re
import textwrap

from .c_text import WIDTH, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .listing import Listing

LONGEST = 500  # statements of a function

HELPERS = {
    "opaque": """
// a constant, which the compiler must not compute with: its tanh may have another last digit
static double opaque(double constant) {
    volatile double x = constant;
    return x;
}
""",
    "power": """
// pow of the C library: x*x for a 2 that the compiler sees may have another last digit
static double power(double x, double k) {
    volatile double base = x, exponent = k;
    return pow(base, exponent);
}
""",
    "power_slope": """
// how fast out = a**b moves with b
static double power_slope(double a, double out) {
    volatile double base = a;
    return a > 0 ? out * log(base) : a == 0 ? 0.0 : NAN;
}
""",
    "sigmoid": """
static double sigmoid(double x) {
    double e = exp(-x);
    if (isfinite(e) || !isfinite(x)) return 1 / (1 + e);
    e = exp(x);  // exp(-x) is too large for a double: another form of the same
    return e / (1 + e);
}
""",
}

GUARDS = """\
#include <float.h>
#include <math.h>
#include <stdio.h>

// a product and a sum are rounded one by one
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#elif defined __GNUC__
#pragma GCC optimize("fp-contract=off")
#elif defined _MSC_VER
#pragma fp_contract(off)
#endif
#if defined __FAST_MATH__
#error "-ffast-math and -Ofast give other numbers"
#endif
#if defined FLT_EVAL_METHOD && (FLT_EVAL_METHOD == 2 || FLT_EVAL_METHOD == -1)
#error "doubles are computed in more than 64 bits; on 32-bit x86 add -msse2 -mfpmath=sse"
#endif
"""


class CFile:
    """The file of a graph.

    Args:
        name: what the functions' names begin with.
        values: how many numbers v has.
    """

    def __init__(self, listing: Listing, name: str, values: int) -> None:
        self.listing, self.name, self.values = listing, name, values

    def text(self, forward: list[str], backward: list[str]) -> str:
        """Return the file with these statements of the passes."""
        listing, name = self.listing, self.name
        y, dy = ([], []) if listing.is_single else (["double *y"], ["const double *dy"])
        x, p, v = "const double *x", "const double *p", "const double *v"
        kind = "double" if listing.is_single else "void"
        code = "\n".join(
            [
                *_function(kind, f"{name}_forward", [x, p, *y, "double *v"], forward),
                "",
                *_function(
                    "void",
                    f"{name}_backward",
                    [x, p, v, *dy, "double *dv", "double *dx", "double *dp"],
                    backward,
                ),
            ]
        )
        helpers = [_once(key, HELPERS[key]) for key in HELPERS if re.search(rf"\b{key}\(", code)]
        arrays = [self._numbers("x", "inputs"), self._numbers("p", "parameters")]
        head = [self._header(), GUARDS, self._sizes(), *arrays]
        return "\n".join([*head, *helpers, code, "", self._main(), ""])

    def _header(self) -> str:
        name, is_single = self.name, self.listing.is_single
        result = "It returns the result." if is_single else "The results are in y."
        of = "the result" if is_single else "the results, each times its number in dy,"
        return textwrap.dedent(f"""\
            // Written by micrograd.export.to_c: the forward and the backward pass of a graph.
            //
            //     cc -O2 -DMAIN {name}.c -lm && ./a.out  # to see what it computes
            //     #include "{name}.c"                    // in a program, beside others like it
            //
            // {name}_forward computes the graph for the inputs x and the parameters p, and
            // keeps its numbers in v, an array of {name}_values. {result}
            //
            // {name}_backward adds to dx and dp the derivatives of {of}
            // by x and by p; set these to 0 before. v is what forward has left there, and dv an
            // array of as many doubles.
            //
            // All numbers are those of micrograd, to the last bit, if the C library is the same.
            // Where Python raises an error, as for the logarithm of 0, they are infinite or nan.
            """)

    def _sizes(self) -> str:
        sizes = {
            "inputs": len(self.listing.inputs),
            "parameters": len(self.listing.parameters),
            "values": self.values,
            "outputs": len(self.listing.outputs),
        }
        return f"enum {{ {', '.join(f'{self.name}_{key} = {n}' for key, n in sizes.items())} }};\n"

    def _numbers(self, array: str, kind: str) -> str:
        """Return the present numbers of inputs or parameters as an array, with their names."""
        names = getattr(self.listing, kind)
        numbers = [literal(x) for x in self.listing.numbers[kind]] or ["0.0"]
        lines = [
            f"// {array}[{first}]{f' .. {array}[{last}]' if last > first else ''}  {called}"
            for first, last, called in _named_runs(names)
        ]
        heading = f"// the {kind}, and their numbers when this was written" if names else ""
        wrapped = textwrap.wrap(", ".join(numbers), WIDTH - 4, break_on_hyphens=False)
        listed = textwrap.indent("\n".join(wrapped), "    ")
        of = f"double {self.name}_{array}[{len(numbers)}] = {{\n{listed}\n}};\n"
        return "\n".join([*filter(None, [heading]), *lines, of])

    def _main(self) -> str:
        name, is_single = self.name, self.listing.is_single
        sizes = {kind: f"{name}_{kind} + 1" for kind in ("inputs", "parameters", "values")}
        lines = [
            f"static double v[{sizes['values']}], dv[{sizes['values']}];",
            f"static double dx[{sizes['inputs']}], dp[{sizes['parameters']}];",
        ]
        if is_single:
            lines += [
                f'printf("%.17g\\n", {name}_forward({name}_x, {name}_p, v));',
                f"{name}_backward({name}_x, {name}_p, v, dv, dx, dp);",
            ]
        else:
            lines += [
                f"static double y[{name}_outputs], dy[{name}_outputs];",
                f"for (int i = 0; i < {name}_outputs; i++) dy[i] = 1.0;",
                f"{name}_forward({name}_x, {name}_p, y, v);",
                f"{name}_backward({name}_x, {name}_p, v, dy, dv, dx, dp);",
                f'for (int i = 0; i < {name}_outputs; i++) printf("y[%d] = %.17g\\n", i, y[i]);',
            ]
        for array, kind in ("dx", "inputs"), ("dp", "parameters"):
            if getattr(self.listing, kind):
                loop = f"for (int i = 0; i < {name}_{kind}; i++)"
                lines.append(f'{loop} printf("{array}[%d] = %.17g\\n", i, {array}[i]);')
        lines.append("return 0;")
        return "\n".join(
            ["#if defined MAIN", "int main(void) {", *(f"    {line}" for line in lines)]
            + ["}", "#endif"]
        )


def _once(name: str, text: str) -> str:
    """Return a helper so that it is there once in a program which includes several such files."""
    macro = f"MICROGRAD_{name.upper()}"
    return f"#ifndef {macro}\n#define {macro}{text}#endif\n"


def _named_runs(names: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the first and last index and the names of those that are numbered one by one."""
    first = 0
    for k in range(1, len(names) + 1):
        if k == len(names) or _following(names[k - 1]) != names[k]:
            of = _comment(names[first])
            yield first, k - 1, of if k - 1 == first else f"{of} .. {_comment(names[k - 1])}"
            first = k


def _following(name: str) -> str:
    """Return the name with the number at its end made larger by 1.

    Without a number there, or with one of more than 9 digits, return "".
    """
    before, end = name[:-10], name[-10:]
    stem, digits = re.fullmatch(r"(.*?)(0|[1-9]\d*|)", end, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{before}{stem}{int(digits) + 1}" if 0 < len(digits) < 10 else ""


def _comment(name: str) -> str:
    """Return a name as it may stand in a comment: without line ends, backslashes and trigraphs."""
    return "".join(c if c.isprintable() and c not in "\\?" else "_" for c in name)


def _function(kind: str, name: str, parameters: list[str], lines: list[str]) -> list[str]:
    """Return a function of these statements, the last of which may return its result.

    A long one calls others for parts of it: compilers need a time that grows faster than functions.
    """
    before: list[str] = []
    arguments = [re.sub(r".*\W", "", parameter) for parameter in parameters]
    if len(lines) > LONGEST:
        body, rest = lines[:-1], lines[-1:]
        calls = []
        for k in range(0, len(body), LONGEST):
            part = f"{name}_{k // LONGEST + 1}"
            before += _function("static void", part, parameters, body[k : k + LONGEST]) + [""]
            calls.append(f"{part}({', '.join(arguments)});")
        lines = calls + rest
    text = "\n".join(lines)
    unused = [f"(void){word};" for word in arguments if not re.search(rf"\b{word}\b", text)]
    heading = f"{kind} {name}({', '.join(parameters)}) {{"
    return [*before, heading, *(f"    {line}" for line in [*unused, *lines]), "}"]

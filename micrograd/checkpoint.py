"""Checkpoints: the numbers of modules and optimisers by name, and files of those.

The `state_dict`, `load_state_dict`, `save` and `load` of both engines are here, in base classes. A
file is JSON, as strict as the standard has it:

    {"format": "micrograd",
     "version": 1,
     "network": {"kind": "MLP", "nin": 2, "nouts": [16, 3], "activation": "tanh"},
     "module": {"layers.0.neurons.0.w.0": -0.35, ...},
     "optimizer": {"lr": 0.1, "t": 100, ..., "m": [0.02, ...], "v": [0.0004, ...]}}

"module" and "optimizer" are what `state_dict()` returns; either may be missing. "network"
is there where the module is a network as its constructor makes it: its class, and its
arguments. Numbers have the fewest digits that read back as the same float; those that JSON
lacks are "nan", "inf" and "-inf".
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import re
import reprlib
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Mapping

from .checks import ACTIVATIONS, check_betas, check_rate, check_steps, is_number, number
from .shown import shown

if sys.platform != "win32":
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Any

    from .types import Path, State, SupportsUniform

FORMAT = "micrograd"
VERSION = 1
RATES = ("lr", "eps", "weight_decay", "momentum")  # which cannot be negative
TEMPORARY = re.compile(r"\.micrograd-[0-9a-f]{16}")  # names of files that are being written


class _OfInstance:
    """The method `load`, which called on a class says what to write instead."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __get__(self, module: object, kind: type) -> Callable[..., Any]:
        if module is not None:
            bound: Callable[..., Any] = self.function.__get__(module, kind)
            return bound

        @functools.wraps(self.function)
        def unbound(*arguments: Any, **by_name: Any) -> Any:
            if not arguments or not isinstance(arguments[0], SavedModule):
                raise TypeError(
                    f"{kind.__name__}.load(path) makes no network: write micrograd.load(path); or "
                    "model.load(path), which sets the numbers of a model that there is"
                )
            return self.function(*arguments, **by_name)

        return unbound


class SavedModule:
    """What a module can do with its numbers: list them by name, and keep them in files."""

    def parameters(self) -> list[Any]:
        """Return the list of the module's parameters (Values)."""
        return []

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Return the list of pairs (name, Value) of the module's parameters.

        The names and their order are those of `state_dict()`; parameters in dicts and such as
        are computed from others, which that has not, have names, too.

        Raises:
            ValueError: `parameters()` has something that no name leads to.

        Example:
            >>> Neuron(2).named_parameters()[2]
            ('b', Value(data=0.0, grad=0.0))
        """
        return named_parameters(self)

    def _summary_row(self) -> tuple[str, str] | None:
        """Return the shape and the activation that a summary shows; None for those of the parts."""
        return None

    def state_dict(self) -> dict[str, float]:
        """Return a dict of the module's numbers by name: "layers.0.neurons.3.w.1" ...

        A name is the way to a leaf Value: through the attributes of the module and of the
        modules in it, and the positions in lists and tuples. A Value that stands in
        several places has several names.

        Raises:
            ValueError: `parameters()` has something that no name leads to.
        """
        return module_state(self)

    def load_state_dict(self, state: State) -> None:
        """Set the numbers to those of a dict that `state_dict()` has made.

        Raises:
            ValueError: the names are not the module's own; or one Value is to be set to
                several numbers.
            TypeError: something is no number.
            Every number is then as it was before.
        """
        load_module_state(self, state)

    def save(self, path: Path, optimizer: SavedOptimizer | None = None) -> None:
        """Write the module's numbers to a file in JSON, which either engine reads.

        Args:
            path: the file. It is replaced as a whole or not at all.
            optimizer: whose state goes into the same file, to resume training from.

        Raises:
            What `state_dict()` raises, and OSError. An old file is then as it was before.
        """
        save(path, module=self, optimizer=optimizer)

    def load(self, path: Path) -> None:
        """Set the numbers to those in a file that `save` has written.

        Raises:
            ValueError: it is no such file, not all of it, that of another module, or a folder.
            OSError: it cannot be read. Every number is then as it was before.
        """
        load_module(path, self)

    if not TYPE_CHECKING:
        load = _OfInstance(load)


class SavedOptimizer:
    """The same of an optimiser."""

    _parameters: tuple[Any, ...]
    _moments: tuple[str, ...] = ()  # what an optimiser keeps with each parameter

    def _make_moments(self) -> None:
        """Set the moments of all parameters to 0."""

    def _completed(self, state: State) -> tuple[State, tuple[str, ...]]:
        """Return a state with what older ones have not, and which moments it must have."""
        return state, self._moments

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters, a tuple of Values. Another list needs another optimiser."""
        return self._parameters

    def state_dict(self) -> dict[str, Any]:
        """Return a dict of the optimiser's numbers, and of lists of the parameters' moments.

        Its numbers are all attributes, the rates and t, that have no _ in front.

        Raises:
            TypeError: one of them is no number.
        """
        return optimizer_state(self)

    def load_state_dict(self, state: State) -> None:
        """Go on from where an optimiser was when its `state_dict()` made this dict.

        Raises:
            ValueError: it is that of another kind of optimiser, or of another number of
                parameters.
            TypeError: something is no number. All is then as it was before.
        """
        load_optimizer_state(self, state)

    def save(self, path: Path) -> None:
        """Write the optimiser's state to a file, as `Module.save` does."""
        save(path, optimizer=self)

    def load(self, path: Path) -> None:
        """Go on from the state in a file, which `Module.save` may have written, too.

        Raises:
            ValueError: it is no such file, not all of it, that of another optimiser, or a
                folder.
            OSError: it cannot be read. All is then as it was before.
        """
        load_optimizer(path, self)


# -----------------------------------------------------------------------------
# states: dicts of numbers by name


def _named_leaves(module: SavedModule) -> dict[str, Any]:
    """Return a dict of the leaf Values in a module, by the way that leads to them."""
    leaves: dict[str, Any] = {}
    _add_named(leaves, module, "", frozenset(), _is_leaf, parts)
    return leaves


def named_parameters(module: SavedModule) -> list[tuple[str, Any]]:
    """What `Module.named_parameters` returns."""
    parameters = [*module.parameters()]
    ids = {id(p) for p in parameters}
    named: dict[str, Any] = {}
    _add_named(named, module, "", frozenset(), lambda x: id(x) in ids, _parts_and_items)
    _check_named(module, parameters, named, "Values in an attribute, a list, a tuple or a dict")
    return [*named.items()]


def _check_named(
    module: SavedModule, parameters: Iterable[Any], named: dict[str, Any], where: str
) -> None:
    found = {id(p) for p in named.values()}  # by identity: a subclass may have an == of its own
    lost = [p for p in parameters if id(p) not in found]
    if lost:
        arrays = _arrays(module, "", frozenset())
        instead = f"; {arrays[0]} is an ndarray: write a list" if arrays else ""
        raise ValueError(
            f"{len(lost)} of the parameters are no {where} of the module: {_some(lost)}{instead}"
        )


def _arrays(x: Any, name: str, inside: frozenset[int]) -> list[str]:
    """Return the names of NumPy's arrays of objects in x, which has this name."""
    if type(x).__name__ == "ndarray" and x.dtype == object:
        return [name]
    found: list[str] = []
    if id(x) not in inside:
        for key, part in _parts_and_items(x):
            found += _arrays(part, f"{name}.{key}" if name else str(key), inside | {id(x)})
    return found


def _add_named(
    named: dict[str, Any],
    x: Any,
    name: str,
    inside: frozenset[int],
    is_wanted: Callable[[Any], bool],
    parts_of: Callable[[Any], Iterable[tuple[object, Any]]],
) -> None:
    """Add the wanted Values in x, which has this name and is inside of what has these ids."""
    if is_wanted(x):
        if name in named:
            raise ValueError(f"two Values have the name {name}")
        named[name] = x
    elif id(x) not in inside:  # a module may well know the one that it is part of
        for key, part in parts_of(x):
            its_name = f"{name}.{key}" if name else str(key)
            _add_named(named, part, its_name, inside | {id(x)}, is_wanted, parts_of)


def _is_leaf(x: Any) -> bool:
    return getattr(x, "_is_leaf", False) is True


def parts(x: Any) -> Iterable[tuple[object, Any]]:
    """Return what a module, a list or a tuple consists of: (name or position, part) each."""
    if isinstance(x, SavedModule):
        return vars(x).items()
    return enumerate(x) if isinstance(x, (list, tuple)) else ()


def _parts_and_items(x: Any) -> Iterable[tuple[object, Any]]:
    """The same, and what a dict consists of."""
    return x.items() if isinstance(x, dict) else parts(x)


def module_state(module: SavedModule) -> dict[str, float]:
    """What `Module.state_dict` returns."""
    leaves = _named_leaves(module)
    where = "leaf Values in an attribute, a list or a tuple"
    _check_named(module, module.parameters(), leaves, where)
    return {name: p.data for name, p in leaves.items()}


def load_module_state(module: SavedModule, state: State) -> None:
    """What `Module.load_state_dict` does."""
    leaves = _named_leaves(module)
    _check_names(state, leaves)
    numbers = {name: _number(state[name], name) for name in leaves}
    first: dict[int, str] = {}  # of each Value's names, by its id
    for name, p in leaves.items():
        other = first.setdefault(id(p), name)
        if repr(numbers[name]) != repr(numbers[other]):
            raise ValueError(
                f"{other} and {name} are one Value, and cannot be both "
                f"{numbers[other]} and {numbers[name]}"
            )
    for name, p in leaves.items():
        p.data = numbers[name]


def _rates(optimizer: SavedOptimizer) -> dict[str, Any]:
    """Return the public attributes of an optimiser: its rates, and t."""
    return {name: x for name, x in vars(optimizer).items() if not name.startswith("_")}


def optimizer_state(optimizer: SavedOptimizer) -> dict[str, Any]:
    """What `Optimizer.state_dict` returns."""
    state: dict[str, Any] = {name: _rate(x, name) for name, x in _rates(optimizer).items()}
    for name in optimizer._moments:
        state[name] = [_number(getattr(p, name), name) for p in optimizer.parameters]
    return state


def load_optimizer_state(optimizer: SavedOptimizer, state: State) -> None:
    """What `Optimizer.load_state_dict` does."""
    _check_state(state)
    rates = _rates(optimizer)
    state, names = optimizer._completed(state)
    kind, other = _kind(rates), _kind(state)
    try:
        _check_names(state, [*rates, *names])
    except ValueError as problem:
        if other in ("", kind):
            raise
        raise ValueError(
            f"this is the state of an {other}, and the optimiser is an {kind}: {problem}"
        ) from None
    rates = {name: _rate(state[name], name) for name in rates}
    for name in [name for name in RATES if name in rates]:
        check_rate(rates[name], name)
    if "beta1" in rates and "beta2" in rates:
        check_betas((rates["beta1"], rates["beta2"]))
    moments = {name: _moments(state[name], name, optimizer) for name in names}
    if names != optimizer._moments:
        if names:
            optimizer._make_moments()
        optimizer._moments = names
    for name, x in rates.items():
        setattr(optimizer, name, x)
    for name, numbers in moments.items():
        for p, x in zip(optimizer.parameters, numbers):
            setattr(p, name, x)


def _kind(state: Collection[str]) -> str:
    """Return which optimiser has these names, "" for none."""
    names = {"weight_decay": "AdamW", "beta1": "Adam", "lr": "SGD"}
    return next((kind for name, kind in names.items() if name in state), "")


def _moments(numbers: Any, name: str, optimizer: SavedOptimizer) -> list[float]:
    if not isinstance(numbers, (list, tuple)):
        raise TypeError(f"{name} must be a list of numbers, not {shown(numbers)}")
    n = len(optimizer.parameters)
    if len(numbers) != n:
        raise ValueError(f"{name} has {len(numbers)} numbers, and there are {n} parameters")
    checked = [_number(x, name) for x in numbers]
    for x in checked:
        if name == "v" and x < 0:
            raise ValueError(f"v is a mean of squares, and cannot be {x}")
    return checked


def _number(x: Any, name: str) -> float:
    if not is_number(x):
        raise TypeError(f"{name} must be a number, not {shown(x)}")
    return number(x)


def _rate(x: Any, name: str) -> float:
    """The same, but steps are counted in integers."""
    if name == "t":
        return check_steps(x)
    return x if type(x) is int else _number(x, name)


def _check_state(state: State) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a dict of numbers by name, not {shown(state)}")


def _check_names(state: State, names: Collection[str]) -> None:
    _check_state(state)
    if state.get("format") == FORMAT and "version" in state:
        raise ValueError("this is all of a file: write load(path)")
    missing = [name for name in names if name not in state]
    unexpected = [name for name in state if name not in names]
    if missing or unexpected:
        raise ValueError(
            f"of {len(names)} names {len(missing)} missing ({_some(missing)}), "
            f"and {len(unexpected)} unknown ({_some(unexpected)})"
        )


def _some(things: Sequence[Any]) -> str:
    return ", ".join([*map(_shown, things[:3])] + ["..."] * (len(things) > 3))


def _shown(x: object) -> str:
    """Return a name as short text without control characters, for an error message."""
    text = str(x)
    return text if text.isprintable() and len(text) <= 100 else reprlib.repr(text)


# -----------------------------------------------------------------------------
# networks: what their constructors would have to be given


def _is_size(x: Any) -> bool:
    return type(x) is int and x > 0


def _are_sizes(x: Any) -> bool:
    return type(x) is list and len(x) > 0 and all(map(_is_size, x))


def _is_switch(x: Any) -> bool:
    return type(x) is bool


def _is_activation(x: Any) -> bool:
    return type(x) is str and x in ACTIVATIONS


ARGUMENTS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "Neuron": {"nin": _is_size, "nonlin": _is_switch, "activation": _is_activation},
    "Layer": {
        "nin": _is_size,
        "nout": _is_size,
        "nonlin": _is_switch,
        "activation": _is_activation,
    },
    "MLP": {"nin": _is_size, "nouts": _are_sizes, "activation": _is_activation},
}


def _network(module: Any) -> dict[str, Any] | None:
    """Return a network's kind and arguments, or None if no constructor makes one like it."""
    kind = type(module).__name__
    if not type(module).__module__.startswith(f"{__package__}.") or kind not in ARGUMENTS:
        return None
    if kind == "Neuron":
        nonlin, activation = bool(module.nonlin), module.activation
        return {"kind": kind, "nin": len(module.w), "nonlin": nonlin, "activation": activation}
    parts: list[Any] = [
        _network(part) for part in (module.neurons if kind == "Layer" else module.layers)
    ]
    if not parts or None in parts:
        return None
    if kind == "Layer":
        network = {**parts[0], "kind": kind, "nout": len(parts)}
        expected = [parts[0]] * len(parts)
    else:
        nin, activation = parts[0]["nin"], parts[0]["activation"]
        nouts = [part.get("nout") for part in parts]
        network = {"kind": kind, "nin": nin, "nouts": nouts, "activation": activation}
        expected = [
            {"kind": "Layer", "nin": n, "nout": nout, "nonlin": True, "activation": activation}
            for n, nout in zip([nin, *nouts], nouts)
        ]
        expected[-1]["nonlin"] = False
    return network if parts == expected else None


def _is_as_made(module: SavedModule, network: dict[str, Any] | None, state: State) -> bool:
    """Tell whether the constructor makes a network that takes this state."""
    if network is None or len({id(p) for p in _named_leaves(module).values()}) < len(state):
        return False  # what it makes shares no Values
    try:
        _check_network(network, len(state))
    except ValueError:
        return False
    return True


def _check_network(network: Any, n: int) -> None:
    """Raise a ValueError unless some constructor makes this network, of n parameters."""
    kind = network.get("kind") if type(network) is dict else None
    if type(kind) is not str or kind not in ARGUMENTS:
        raise ValueError(f"there is no such network: {reprlib.repr(network)}")
    _check_names(network, ["kind", *ARGUMENTS[kind]])
    for name, is_right in ARGUMENTS[kind].items():
        if not is_right(network[name]):
            wrong = reprlib.repr(network[name])
            raise ValueError(f"{name} of a network cannot be {wrong}")
    nouts = network["nouts"] if kind == "MLP" else [network["nout"] if kind == "Layer" else 1]
    needed = sum((nin + 1) * nout for nin, nout in zip([network["nin"], *nouts], nouts))
    if needed != n:
        raise ValueError(f"{_called(network)} has {needed} parameters, and not {n}")


def _called(network: dict[str, Any]) -> str:
    """Return the call of the constructor, as text."""
    arguments = [f"{name}={reprlib.repr(network[name])}" for name in ARGUMENTS[network["kind"]]]
    return f"{network['kind']}({', '.join(arguments)})"


# -----------------------------------------------------------------------------
# writing


def save(
    path: Path, module: SavedModule | None = None, optimizer: SavedOptimizer | None = None
) -> None:
    """What `Module.save` and `Optimizer.save` do."""
    file: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if module is not None:
        state = module.state_dict()
        network = _network(module)
        if _is_as_made(module, network, state):
            file["network"] = network
        file["module"] = {name: _in_json(_number(x, name)) for name, x in state.items()}
    if optimizer is not None:
        if not isinstance(optimizer, SavedOptimizer):
            raise TypeError(f"expected an optimiser, not {shown(optimizer)}")
        state = optimizer.state_dict()
        file["optimizer"] = {name: _in_json(x) for name, x in state.items()}
    _replace(path, json.dumps(file, indent=1, allow_nan=False))


def _in_json(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return [_in_json(y) for y in x]
    return x if math.isfinite(x) else repr(x)


def _path_as_text(path: Path) -> str:
    """Return a path as text, or raise a TypeError that says what to write if it is none."""
    try:
        return os.fsdecode(path)
    except TypeError:
        instead = ""
        if isinstance(path, Mapping):
            instead = ": write load_state_dict(state)"
        elif hasattr(path, "read"):
            instead = ': write its name, such as "model.json"'
        found = f"an open {type(path).__name__}" if hasattr(path, "read") else shown(path)
        raise TypeError(f"path must be text or a Path, not {found}{instead}") from None


def _replace(path: Path, text: str) -> None:
    """Write a file so that at any time there is the old one or the new one, and all of it."""
    given = path
    path = os.path.realpath(_path_as_text(path))  # a link stays a link
    is_there = os.path.exists(path)
    if os.path.isdir(path):
        raise PermissionError(f"{path} is a folder, and no file that may be written")
    if is_there and not (os.path.isfile(path) and os.access(path, os.W_OK)):
        raise PermissionError(f"{path} is no file that may be written")
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".micrograd-{os.urandom(8).hex()}")
    lock = _lock(folder)
    try:
        with open(temporary, "x", encoding="ascii", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if is_there:
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException as problem:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.remove(temporary)
        if not isinstance(problem, OSError) or problem.errno is None:
            raise
        # say it of the user's file, and not of the temporary one
        reason = problem.strerror if os.path.isdir(folder) else f"there is no folder {folder!r}"
        raise OSError(problem.errno, reason, given) from None
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: str) -> int | None:
    """Lock a folder for a save, and remove the temporary files of saves that were killed.

    Each save has a shared lock on the folder while it has a temporary file there, and the
    system releases it when the process dies. Under an exclusive lock no temporary file is in use.

    Returns:
        The file descriptor, to be closed. None if the folder cannot be locked: on Windows, say.
    """
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        with contextlib.suppress(OSError):  # another save is under way
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in os.listdir(folder):
                if TEMPORARY.fullmatch(name):
                    os.remove(os.path.join(folder, name))
        with contextlib.suppress(OSError):  # there are file systems that have no locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# -----------------------------------------------------------------------------
# reading. Files may come from strangers: everything is checked before it is used


def load_network(path: Path, kinds: Iterable[type[SavedModule]], rng: SupportsUniform) -> Any:
    """What `load` of an engine returns, whose classes these are. It needs a generator, too."""
    with _reading(path):
        file = _read(path, "module")
        if "network" not in file:
            raise ValueError("no constructor makes this module: make one, and call its load()")
        arguments = dict(file["network"])
        by_name: dict[str, Any] = {kind.__name__: kind for kind in kinds}
        network = by_name[arguments.pop("kind")](**arguments, rng=rng)
        network.load_state_dict(file["module"])
    return network


def load_module(path: Path, module: SavedModule) -> None:
    """What `Module.load` does."""
    with _reading(path):
        file = _read(path, "module")
        this, other = _network(module), file.get("network")
        if this and other and this != other:
            raise ValueError(f"this is {_called(this)}, and the file has {_called(other)}")
        module.load_state_dict(file["module"])


def load_optimizer(path: Path, optimizer: SavedOptimizer) -> None:
    """What `Optimizer.load` does."""
    with _reading(path):
        optimizer.load_state_dict(_read(path, "optimizer")["optimizer"])


class _reading:
    """Whatever is wrong with the file is a ValueError that names it.

    It is a class because contextlib.contextmanager leaves a reference cycle on Python 3.13.
    """

    def __init__(self, path: Path) -> None:
        self.name = _path_as_text(path)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, traceback: object) -> None:
        if isinstance(problem, RecursionError):
            raise ValueError(f"{self.name}: its parts are nested too deeply") from problem
        if isinstance(problem, (ValueError, TypeError)):
            raise ValueError(f"{self.name}: {problem}") from problem


def _read(path: Path, wanted: str) -> dict[str, Any]:
    """Return what is in a file, after all checks, as a dict that has the part wanted."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("this is a folder: give the path of the file that save() has written")
    if not stat.S_ISREG(mode):  # a pipe or a device might never end
        raise ValueError("this is no file")
    with open(path, "rb") as binary:
        content = binary.read()
    try:
        text = content.decode("utf-8")
        file = json.loads(
            text,
            object_pairs_hook=_dict,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError:
        raise ValueError("this is no file that save() has written: it is no text") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"this is no file that save() has written: {problem}") from None
    if type(file) is not dict or file.get("format") != FORMAT:
        raise ValueError("this is no file of micrograd's")
    version = file.get("version")
    if type(version) is not int or version != VERSION:
        version = reprlib.repr(version)
        raise ValueError(f"the format has version {version}, and must have version {VERSION}")
    unknown = file.keys() - {"format", "version", "network", "module", "optimizer"}
    if unknown:
        raise ValueError(f"version {VERSION} has nothing called {_some(sorted(unknown))}")
    if wanted not in file:
        raise ValueError(f"there is no {wanted} in the file")
    for part in [part for part in ("module", "optimizer") if part in file]:
        if type(file[part]) is not dict:
            raise ValueError(f"{part} must be numbers by name, not {reprlib.repr(file[part])}")
        file[part] = {name: _from_json(x, name, part) for name, x in file[part].items()}
    if "network" in file:
        _check_network(file["network"], len(file.get("module", ())))
    return file


def _from_json(x: Any, name: str, part: str) -> Any:
    if part == "optimizer" and type(x) is list:
        return [_from_json(y, name, "a list of it") for y in x]
    if type(x) is str and x in ("nan", "inf", "-inf"):
        return float(x)
    if type(x) not in (int, float):  # True is an int, too, and no number here
        raise ValueError(f"{_shown(name)} must be a number, not {reprlib.repr(x)}")
    return x


def _dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]
        raise ValueError(f"{len(twice)} names are there more than once: {_some(twice)}")
    return result


def _integer(text: str) -> int:
    if len(text) > 308:  # more than a float can hold
        raise ValueError(f"an integer has {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    x = float(text)
    if math.isinf(x):
        raise ValueError(f"{reprlib.repr(text)} is too large for a float")
    return x


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")

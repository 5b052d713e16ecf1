"""Whether operations are recorded, and into what, for both engines: no_grad, and recorders.

In a context (`contextvars`: a thread, an asyncio task) blocks are open, one inside another. The
innermost decides. In one of `no_grad` operations are not recorded. In one of a recorder, of which
`recorder.py` opens one around the first call of a recorded function, they are, and what would
freeze a number into the recording is refused. Without any block operations are recorded.

Which blocks are open is kept in a context variable alone, and never in the no_grad object. So one
object may serve several threads and tasks, and may be entered again while it is open.

Ctrl-C can raise KeyboardInterrupt anywhere, so also at the start of `__exit__`, or when
`__enter__` has done its work and Python has not yet entered the block. Then `__exit__` is not
called, or has no effect. But in any case the `with` statement drops its reference to the no_grad
object. So a block has a weak reference to that object, and is void once the object is gone. (An
object that is also kept in a variable is not gone: an interrupt at the start of its `__exit__`
leaves recording off for as long as it is kept.) Recorders are entered through an object that
is kept nowhere else.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import types
import weakref

from .recording_errors import refused
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any, NoReturn

    from .recorder import Recorder
    from .types import P, T

__all__ = ["current_recorder", "is_recording", "no_grad", "recording_into", "refuse"]


class _Block:
    """One `with` statement that has been entered."""

    __slots__ = ("outer", "manager", "recorder", "__weakref__")

    outer: _Block | None  # the block around it
    manager: weakref.ref[_Manager] | None  # None after a regular __exit__
    recorder: Recorder | None  # None in a block of no_grad

    def __init__(
        self, outer: _Block | None, manager: weakref.ref[_Manager], recorder: Recorder | None
    ) -> None:
        self.outer, self.manager, self.recorder = outer, manager, recorder

    def is_void(self) -> bool:
        if self.manager is None:
            # an asyncio task that was started in a block of no_grad has a copy of the context,
            # and goes on without recording; but what a recorder has recorded is then complete
            return self.recorder is not None
        return self.manager() is None  # an interrupt ended it


# the innermost block
_innermost: contextvars.ContextVar[_Block | None] = contextvars.ContextVar(
    "micrograd.no_grad", default=None
)

# Weak references to the blocks of no_grad, of all contexts. While it is empty recording is on
# everywhere. The compiled engine looks at this very set before each operation.
no_grad_blocks: set[weakref.ref[_Block]] = set()

# Likewise to the blocks of recorders. While it is empty nothing is refused anywhere.
recorder_blocks: set[weakref.ref[_Block]] = set()


def _innermost_block() -> _Block | None:
    block = _innermost.get()
    while block is not None and block.is_void():
        block = block.outer
        _innermost.set(block)
    return block


def is_recording() -> bool:
    """Tell whether operations are recorded now, in this context."""
    if not no_grad_blocks:
        return True
    block = _innermost_block()
    return block is None or block.recorder is not None


def current_recorder() -> Recorder | None:
    """Return the recorder that is open in this context, or None."""
    if not recorder_blocks:
        return None
    block = _innermost_block()
    return None if block is None else block.recorder


def _leave(manager: weakref.ref[_Manager], *exception: object) -> None:
    """Close the innermost block of this object; do nothing if this context has none."""
    inside, block = None, _innermost.get()
    while block is not None and block.manager != manager:
        inside, block = block, block.outer
    if block is None:  # it was entered in another context: a generator went on in another thread
        return
    if inside is None:
        _innermost.set(block.outer)
    else:  # blocks that were entered later are still open
        inside.outer = block.outer
    block.manager = None


class _Exit:
    """The method `__exit__`, without a reference to the object in its frame.

    After an interrupt at its start the traceback keeps that frame alive, and is kept itself in
    `sys.last_traceback` while a notebook waits for the next cell.
    """

    def __get__(self, manager: _Manager | None, kind: type | None = None) -> Callable[..., None]:
        if manager is None:
            return lambda manager, *exception: manager.__exit__(*exception)
        leave = functools.partial(_leave, weakref.ref(manager))
        vars(leave)["manager"] = manager  # the with statement keeps this function and its object
        return leave


class _Manager:
    """What a `with` statement enters."""

    _blocks = no_grad_blocks  # where its blocks are listed
    _recorder: Recorder | None = None

    def __enter__(self) -> None:
        if self._recorder is None:
            refuse("no_grad")
        outer = _innermost.get()
        block, blocks = _Block(outer, weakref.ref(self), self._recorder), self._blocks
        del self  # a traceback may keep this frame, too
        blocks.add(weakref.ref(block, blocks.discard))
        try:
            _innermost.set(block)
        except BaseException:  # an interrupt
            _innermost.set(outer)
            raise

    __exit__ = _Exit()


class recording_into(_Manager):
    """Record for this recorder: `with recording_into(recorder):`."""

    _blocks = recorder_blocks

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder


class _Called(type):
    """The type of no_grad, for `with no_grad:`, which enters the class."""

    def __enter__(cls) -> NoReturn:
        raise TypeError("write `with no_grad():`, with parentheses")

    def __exit__(cls, *exception: object) -> None: ...


class no_grad(_Manager, metaclass=_Called):
    """Compute without recording: inside the `with` block results carry no graph.

    It holds for the thread, or the asyncio task, that enters it, and for tasks that are
    started inside; it may be nested. It is also a decorator, `@no_grad()` or `@no_grad`: for
    functions, for generators (while their own code runs, not while they wait at a yield), and for
    both with `async`.

        with no_grad():
            print(model(x).data)

    It cannot be entered in a recorded function: call that one in a `with` block instead.
    """

    if not TYPE_CHECKING:  # type checkers know `@no_grad()` alone

        def __new__(cls, *function, **kwargs):
            manager = object.__new__(cls)  # quicker than by super()
            if cls is no_grad and (function or kwargs):  # a subclass has arguments of its own
                return manager(*function, **kwargs)
            return manager

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        if not callable(function):
            raise TypeError(
                f"no_grad() takes nothing, or decorates a function, not {shown(function)}"
            )
        if isinstance(function, type):
            raise TypeError(f"no_grad() decorates functions, not the class {function.__name__}")
        if inspect.iscoroutinefunction(function):
            wrapper = _of_coroutine_function(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = _of_generator_function(function)
        elif inspect.isasyncgenfunction(function):
            wrapper = _of_async_generator_function(function)
        else:
            wrapper = _of_function(function)
        wrapped: Callable[P, T] = functools.wraps(function)(wrapper)
        return wrapped


def refuse(what: str) -> None:
    """Raise what `refused` returns if this context has an open recorder."""
    if current_recorder() is not None:
        raise refused(what)


# -----------------------------------------------------------------------------
# the decorator, by kind of function. What `inspect` says of the function it says of the wrapper


def _of_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with no_grad():
            return function(*args, **kwargs)

    return wrapper


def _of_generator_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _run(function(*args, **kwargs)))

    return wrapper


def _of_coroutine_function(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await _await(function(*args, **kwargs))

    return wrapper


def _of_async_generator_function(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        try:
            item = await _await(body.asend(None))
            while True:
                try:
                    sent = yield item
                except BaseException as problem:
                    item = await _await(body.athrow(problem))
                else:
                    item = await _await(body.asend(sent))
        except StopAsyncIteration:
            return

    return wrapper


def _run(body: Any) -> Generator[Any, Any, Any]:
    """Run a generator or a coroutine as `yield from` does, each step of it in a block."""
    send, throw = _of_function(body.send), _of_function(body.throw)
    try:
        item = send(None)
        while True:
            try:
                sent = yield item
            except BaseException as problem:  # thrown in, or GeneratorExit of close()
                item = throw(problem)
            else:
                item = send(sent)
    except StopIteration as stop:
        return stop.value


@types.coroutine
def _await(body: Any) -> Generator[Any, Any, Any]:
    """Do so where one awaits."""
    return (yield from _run(body))

"""no_grad: whether operations are recorded, for both engines.

Recording is off in a context (`contextvars`: a thread, an asyncio task) while a block is open
there. Whether one is open is kept in a context variable alone, and never in the no_grad
object. So one object may serve several threads and tasks, and may be entered again while
it is open.

Ctrl-C can raise KeyboardInterrupt anywhere, so also at the start of `__exit__`, or when
`__enter__` has done its work and Python has not yet entered the block. Then `__exit__` is not
called, or has no effect. But in any case the `with` statement drops its reference to the no_grad
object. So a block has a weak reference to that object, and is void once the object is gone. (An
object that is also kept in a variable is not gone: an interrupt at the start of its `__exit__`
leaves recording off for as long as it is kept.)
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import types
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from .types import P, T

__all__ = ["no_grad", "is_recording"]


class _Block:
    """One `with no_grad():` that has been entered."""

    __slots__ = ("outer", "manager", "__weakref__")

    outer: _Block | None  # the block around it
    # None after a regular __exit__. The block is not void then: an asyncio task that was started
    # in it has a copy of the context, and goes on without recording
    manager: weakref.ref[no_grad] | None

    def __init__(self, outer: _Block | None, manager: weakref.ref[no_grad]) -> None:
        self.outer, self.manager = outer, manager


# the innermost block
_innermost: contextvars.ContextVar[_Block | None] = contextvars.ContextVar(
    "micrograd.no_grad", default=None
)

# Weak references to all blocks of all contexts. While it is empty recording is on everywhere.
# The compiled engine looks at this very set before each operation.
_open: set[weakref.ref[_Block]] = set()


def is_recording() -> bool:
    """Tell whether operations are recorded now, in this context."""
    if not _open:
        return True
    block = _innermost.get()
    while block is not None and block.manager is not None and block.manager() is None:
        block = block.outer  # that one is void: an interrupt ended it
        _innermost.set(block)
    return block is None


def _leave(manager: weakref.ref[no_grad], *exception: object) -> None:
    """Close the innermost block of this no_grad object; do nothing if this context has none."""
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
    """The method `no_grad.__exit__`, without a reference to the no_grad object in its frame.

    After an interrupt at its start the traceback keeps that frame alive, and is kept itself in
    `sys.last_traceback` while a notebook waits for the next cell.
    """

    def __get__(self, manager: no_grad | None, kind: type | None = None) -> Callable[..., None]:
        if manager is None:
            return lambda manager, *exception: manager.__exit__(*exception)
        leave = functools.partial(_leave, weakref.ref(manager))
        vars(leave)["manager"] = manager  # the with statement keeps this function and its object
        return leave


class no_grad:
    """Compute without recording: inside the `with` block results carry no graph.

    It holds for the thread, or the asyncio task, that enters it, and for tasks that are
    started inside; it may be nested. It is also a decorator: for functions, for generators
    (while their own code runs, not while they wait at a yield), and for both with `async`.

        with no_grad():
            print(model(x).data)
    """

    def __enter__(self) -> None:
        outer = _innermost.get()
        block = _Block(outer, weakref.ref(self))
        del self  # a traceback may keep this frame, too
        _open.add(weakref.ref(block, _open.discard))
        try:
            _innermost.set(block)
        except BaseException:  # an interrupt
            _innermost.set(outer)
            raise

    __exit__ = _Exit()

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
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

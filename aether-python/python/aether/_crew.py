"""The threads of a pool: Python makes them, the native half says how many and what they do next.

What the interpreter does to all pools lives here too: its exit lets them drain, a fork leaves the child without them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures._base import LOGGER
from typing import Any, Optional

from aether import _native


class Job:
    """A call and the future that stands for it."""

    __slots__ = ("args", "fn", "future", "kwargs")

    def __init__(self, future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def run(self) -> bool:
        """Runs the call; false if its future had been cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return False
        try:
            result = self.fn(*self.args, **self.kwargs)
        except BaseException as error:
            self.future.set_exception(error)
            # The traceback of the error holds this frame, and through it the job.
            del self
        else:
            self.future.set_result(result)
        return True


class Crew:
    """What a pool's threads share. They hold on to it, not to the pool, so that a pool nobody uses any more ends."""

    def __init__(
        self,
        pool: _native.Pool,
        name: str,
        initializer: Optional[Callable[..., object]],
        initargs: tuple[Any, ...],
    ) -> None:
        self.pool = pool
        self.name = name
        self.threads: set[threading.Thread] = set()
        self.controller: Optional[threading.Thread] = None
        self.lock = threading.Lock()
        self.is_closed = False
        self.broken: Optional[str] = None
        self.on_break: Callable[[], object] = lambda: None
        self.owner: Optional[weakref.ref[Any]] = None
        self._process = _process
        self._initializer = initializer
        self._initargs = initargs

    @property
    def is_inherited(self) -> bool:
        """Whether this is a copy that a fork left: its threads are the parent's, its locks may be held for ever."""
        return self._process is not _process

    def order(self, count: int) -> None:
        """Starts ``count`` workers; under ``lock``."""
        for ordered in range(count, 0, -1):
            thread = threading.Thread(target=self._work, name=f"{self.name}_{len(self.threads)}")
            try:
                thread.start()
            except RuntimeError:
                self._miss(ordered)
                if not self.threads:
                    raise
                return  # The system has no more threads: those that live do the work.
            except BaseException:
                # A Ctrl-C while this thread waited for the new one, which comes all the same.
                self.threads.add(thread)
                self._miss(ordered - 1)
                raise
            self.threads.add(thread)

    def _miss(self, count: int) -> None:
        for _ in range(count):
            self.pool.not_started()

    def begin(self) -> None:
        """Starts the controller, if it is not running; under ``lock``."""
        if self.controller is None:
            controller = threading.Thread(target=self._control, name=f"{self.name}_controller")
            controller.start()
            self.controller = controller
            _running.add(self)

    def close(self) -> None:
        """Takes no more jobs; those that are queued are still run."""
        if not self.is_inherited:
            self.is_closed = True
            self.pool.drain()

    def cancel(self) -> None:
        """Takes no more jobs; those that nobody has begun are cancelled."""
        if not self.is_inherited:
            self.is_closed = True
            for job in self.pool.abandon():
                if job.future.cancel():
                    # Nobody will take it from the queue: whoever waits for it is told so here.
                    job.future.set_running_or_notify_cancel()

    def join(self) -> None:
        """Waits until every thread has ended. From one of them: until the others have."""
        controller = self.controller
        me = threading.current_thread()
        if controller is not None and controller is not me and me not in self.threads:
            controller.join()
        for thread in list(self.threads):
            if thread is not me:
                thread.join()

    def _control(self) -> None:
        while True:
            count = self.pool.control()
            if count is None:
                break
            with self.lock:
                self._try_to_order(count)
        with _exit_lock:
            _running.discard(self)

    def _try_to_order(self, count: int) -> None:
        try:
            self.order(count)
        except RuntimeError:
            LOGGER.critical("No thread could be started", exc_info=True)

    def _work(self) -> None:
        pool = self.pool
        worker = pool.enlist()
        if not self._initialize():
            pool.desert(worker)
            return
        next_job, skip = pool.next, pool.skip
        while True:
            job = next_job(worker)
            if job is None:
                break
            try:
                if not job.run():
                    skip(worker)
            except BaseException:
                # Somebody else has set the future's result. That is no reason to leave other tasks without a worker.
                LOGGER.critical("Exception in worker", exc_info=True)
            del job  # Whatever it refers to must not live until the next job comes.
        if not self.is_closed:
            # Let go for want of work; after the end the set stays as it was, for those that iterate over it.
            self.threads.discard(threading.current_thread())
        pool.retire(worker)

    def _initialize(self) -> bool:
        if self._initializer is None:
            return True
        try:
            self._initializer(*self._initargs)
        except BaseException:
            LOGGER.critical("Exception in initializer:", exc_info=True)
            self.broken = "A thread initializer failed, the thread pool is not usable anymore"
            self.on_break()
            return False
        return True


# Another object in every process.
_process = object()
_exit_lock = threading.Lock()
_is_exiting = False
_running: set[Crew] = set()


def is_exiting() -> bool:
    """Whether the interpreter has begun to end."""
    return _is_exiting


def _at_exit() -> None:
    global _is_exiting
    with _exit_lock:
        _is_exiting = True
        crews = list(_running)
    for crew in crews:
        crew.close()
    for crew in crews:
        crew.join()


def _after_fork_in_child() -> None:
    global _exit_lock, _process
    _exit_lock = threading.Lock()
    _process = object()
    _running.clear()


# As `concurrent.futures` does: before the interpreter waits for its threads, which would never end by themselves.
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def closing(crew: Crew) -> Callable[[weakref.ref[Any]], None]:
    """What to do when the pool of a crew is collected."""

    def close(_: weakref.ref[Any]) -> None:
        crew.close()

    return close

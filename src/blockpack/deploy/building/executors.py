"""Who makes the images: this process, forked ones, or any `concurrent.futures.Executor`.

A volume is a task; there are few, and each is large. Every way gives outcomes as they come: the
number of a task, and what was built or the error. One that fails keeps no other from being built;
but a forked process that is lost, as one that is killed for want of memory, ends the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ...errors import BlockpackError, TargetError, UsageError
from ...planning.layout import Layout
from ...workers.pool import Send, WorkerPool, lost_process
from ...workers.processors import Jobs, processors
from ...writing.progress import Meter, increments
from ..image_errors import out_of_memory
from .task import Built, Refused, Task, make, perform

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


_LOST = lost_process("a building process", "its image was not built", "build again")

Outcome = tuple[int, Built | BlockpackError]
"""The number of a task, and what became of it."""

DASK = "dask://"
"""What the address of a cluster of dask.distributed begins with."""

CLUSTER_ANSWERS = 10.0
"""Seconds within which a cluster answers, if there is one."""

Planned = Sequence[tuple[Task, Layout]]
"""Tasks with their layouts, which forked processes inherit."""


def outcomes(planned: Planned, jobs: Jobs, meter: Meter) -> Iterator[Outcome]:
    """Make all images by up to `jobs` processes of this machine; `meter` counts as in `make`.
    Raises `TargetError` if a process came to an end by itself.
    """
    most = processors(jobs)
    workers = min(most, len(planned))
    pool = None
    if workers > 1:
        with suppress(OSError):  # too few descriptors left
            pool = WorkerPool(len(planned), _LOST)
    if pool is None:
        yield from (_made(planned, number, jobs, meter) for number in range(len(planned)))
        return
    # The largest ones first, or one would be begun when all others are done.
    order = sorted(range(len(planned)), key=lambda number: -planned[number][1].size)

    def made(meter: Meter) -> Iterator[Outcome]:
        return (_made(planned, order[place], most // workers, meter) for place in pool.numbers())

    def work(send: Send) -> None:
        for outcome in made(Meter("", sys.maxsize, increments(send))):
            send(outcome)

    with pool:
        if not pool.start(workers, work):  # this process does it, if no other can be had
            yield from made(meter)
        for message in pool.messages():
            if isinstance(message, int):
                meter.advance(message)
            elif isinstance(message, tuple):
                yield message


def _made(planned: Planned, number: int, jobs: Jobs, meter: Meter) -> Outcome:
    task, layout = planned[number]
    try:
        return number, make(evolve(task, jobs=jobs), layout, meter)
    except BlockpackError as error:
        return number, error
    except MemoryError:
        return number, out_of_memory()


def outcomes_on(
    executor: Executor, tasks: Sequence[Task]
) -> Iterator[tuple[int, Built | Refused | BlockpackError]]:
    """Have `executor` plan and make all images; at the end, waiting tasks are cancelled."""
    from concurrent.futures import as_completed

    futures: dict[Future[Built | Refused], int] = {}
    refused: list[Outcome] = []
    try:
        for number, task in enumerate(tasks):
            try:
                task = evolve(task, staging=os.path.abspath(task.staging))  # it works elsewhere
                futures[executor.submit(perform, task)] = number
            except Exception as error:  # it is broken, or takes nothing any more
                refused.append((number, _not_built(error)))
        yield from refused
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BlockpackError as error:
                yield futures[future], error
            except Exception as error:  # whatever an executor raises for work that it lost
                yield futures[future], _not_built(error)
    finally:
        for future in futures:
            future.cancel()


def _not_built(error: Exception) -> TargetError:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    rule = f"the executor did not build it: {why}"
    return TargetError("", rule, "fix that, or build without an executor")


def executor_named(name: str) -> AbstractContextManager[Executor]:
    """The executor that `name` stands for, shut down at the end.

    ``dask://HOST:PORT`` is a cluster of dask.distributed (the extra ``blockpack[dask]``),
    ``MODULE:CALLABLE`` what a function of yours returns. Raises `UsageError`, and `TargetError`
    for a cluster that does not answer.
    """
    return _dask(name.removeprefix(DASK)) if name.startswith(DASK) else _called(name)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        import distributed
    except ImportError as error:
        rule = f"needs blockpack[dask] installed ({error})"
        raise UsageError(f"{DASK}{address}", rule) from None
    connect: Any = distributed.Client  # it has no types
    try:
        client = connect(f"tcp://{address}", timeout=CLUSTER_ANSWERS, set_as_default=False)
    except (OSError, ValueError) as error:
        rule = f"no cluster answers there: {error}" if str(error) else "no cluster answers there"
        raise TargetError(f"{DASK}{address}", rule, "start its scheduler") from None
    try:
        # An image is a side effect: what was built once is not taken from the cluster's memory.
        yield client.get_executor(pure=False)
    finally:
        client.close()


def _called(name: str) -> Executor:
    from concurrent.futures import Executor
    from importlib import import_module

    module, _, attribute = name.partition(":")
    if not attribute:
        raise UsageError(name, "is not an executor", f"give {DASK}HOST:PORT or MODULE:CALLABLE")
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "give the name of a module that is installed"
        raise UsageError(name, f"cannot be imported: {error}", remedy) from None
    executor = found() if callable(found) else found
    if not isinstance(executor, Executor):
        kind = type(executor).__name__
        rule = f"is or returns a {kind}, which is not an executor"
        raise UsageError(name, rule, "have it return a concurrent.futures.Executor")
    return executor

"""What all tests share: how hypothesis searches, and that errors say what they should.

On CI it takes the same examples each time, so that a commit that was green stays green, and spends
no minutes on making a failing one smaller; anywhere else it looks further on each run.
``HYPOTHESIS_PROFILE=thorough`` looks thirty times as far.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from blockpack.workers import processors
from spoken_errors import listening

# Judges are programs: how long one takes says nothing about the code.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20
)
_UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
settings.register_profile(
    "ci", settings.get_profile("default"), derandomize=True, database=None, phases=_UNSHRUNK
)
settings.register_profile(
    "thorough", settings.get_profile("default"), max_examples=600, phases=_UNSHRUNK
)

# What is started with a shell's & ignores interrupts, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ON_CI = os.environ.get("CI", "").lower() == "true"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if _ON_CI else "default"))


@pytest.fixture(autouse=True)
def fixture_errors() -> Iterator[None]:
    """No test provokes an error that does not say what it should."""
    with listening() as wrong:
        yield
    assert not wrong


@pytest.fixture(autouse=True)
def fixture_forkable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that were there before a test keep nothing in it from forking: those of pytest-xdist
    and what others' libraries leave behind in earlier tests, as fsspec's do. Only its own do.
    """
    before = set(threading.enumerate())
    monkeypatch.setattr(processors, "_has_threads", lambda: bool({*threading.enumerate()} - before))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Machines are booted first: at the end one processor would wait for what the other boots."""
    items.sort(key=lambda item: item.path.parent.name != "vm")


def pytest_collection_finish() -> None:
    """What was collected lives to the end: no search for garbage is to look through it, and
    processes that are forked share its memory.
    """
    gc.collect()
    gc.freeze()

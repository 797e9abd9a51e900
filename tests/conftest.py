"""What all tests share: how hypothesis searches, and that errors say what they should.

On CI it takes the same examples each time, so that a commit that was green stays green, and spends
no minutes on making a failing one smaller; anywhere else it looks further on each run.
``HYPOTHESIS_PROFILE=thorough`` looks thirty times as far.
"""

from __future__ import annotations

import os
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

_ON_CI = os.environ.get("CI", "").lower() == "true"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if _ON_CI else "default"))


@pytest.fixture(autouse=True)
def fixture_errors() -> Iterator[None]:
    """No test provokes an error that does not say what it should."""
    with listening() as wrong:
        yield
    assert not wrong


@pytest.fixture(scope="session", autouse=True)
def fixture_forkable() -> Iterator[None]:
    """Threads that Python does not know of, pytest-xdist's among them, keep nothing from forking
    here: tests that ask for several processes are to have them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processors, "_has_threads", _has_threads)
        yield


def _has_threads() -> bool:
    """Whether a test has threads; that of fsspec's connections stays for good."""
    return any(
        thread is not threading.main_thread() and thread.name != "fsspecIO"
        for thread in threading.enumerate()
    )

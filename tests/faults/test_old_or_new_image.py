"""Whatever goes wrong while it is written: the target is the whole old or the whole new image.

Faults of the operating system and changes of the sources: each single fault, and as many as
hypothesis finds in any order. After each step nothing but the target may be in its directory,
no descriptor is left open, and every failure is an error of the right kind that names the right
file.
"""

from __future__ import annotations

import errno
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import blockpack
from faults.injection import CALLS, Fault, Injector, injected, nameless_files
from faults.rendering import pattern, rendered

VOLUMES: dict[str, Callable[[], blockpack.Volume]] = {
    "tar": blockpack.TarVolume,
    "unaligned tar": lambda: blockpack.TarVolume(align=512),
    "FAT": blockpack.FatVolume,
}

FILES = {"a": 1, "b.txt": 4097, "d/c": 40_000, "d/e/large": (1 << 20) + 1, "sparse": 70_000}
HOLE = 256 << 10
OLD = pattern(10_000)


class Bench:
    """Sources, the layout that was planned of them, and what the target is to hold."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="blockpack-faults-"))
        self.source = self.base / "source"
        self.target = self.base / "images" / "x.img"
        self.target.parent.mkdir()
        self.held: bytes | None = None
        self.clock = 10**18
        for name, size in FILES.items():
            self.fill(name, size, 1)

    def remove(self) -> None:
        shutil.rmtree(self.base)

    def hold(self, image: bytes) -> None:
        self.target.write_bytes(image)
        self.held = image

    def fill(self, name: str, size: int, seed: int) -> None:
        """Make `name` a file of `size` bytes, and if it is the sparse one, of a hole and more."""
        path = self.clear(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(pattern(size, seed))
            if name == "sparse":
                file.seek(HOLE, os.SEEK_CUR)
                file.write(pattern(5000, seed))
        self.set_time(name)

    def clear(self, name: str) -> Path:
        path = self.source / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        return path

    def set_time(self, name: str) -> None:
        # Never the same twice: a clock may be too coarse to tell two changes apart.
        self.clock += 10**9
        os.utime(self.source / name, ns=(self.clock, self.clock))

    def plan(self, volume: str) -> None:
        for name, size in FILES.items():
            if not (self.source / name).is_file():
                self.fill(name, size, 1)
        self.layout = VOLUMES[volume]().plan(blockpack.scan(self.source))
        self.image = rendered(self.layout)
        self.changed: set[str] = set()

    def write(self, faults: list[Fault], fsync: bool) -> tuple[str, Injector]:
        """Write, with `faults`; how it ended, which has been judged, and what came about."""
        before = descriptors()
        error: blockpack.BlockpackError | None = None
        with injected(self.source, faults) as injector:
            try:
                blockpack.write(self.layout, self.target, jobs=1, fsync=fsync)
            except blockpack.BlockpackError as caught:
                error = caught
        assert descriptors() == before
        changed = {str(self.source / name) for name in self.changed}
        if error is None:
            assert not changed
            assert not injector.source_faults
            assert not injector.target_faults
            self.held = self.image
        elif isinstance(error, blockpack.SourceError):
            assert error.path in changed | injector.source_faults
        else:
            assert type(error) is blockpack.TargetError
            assert injector.target_faults, error
            last = injector.target_faults[-1]
            if last.call == "flush directory":  # by then the new image is in its place
                self.held = self.image
            elif last.call != "look for space":
                assert str(self.target) in str(error)
        self.judge()
        return type(error).__name__ if error else "written", injector

    def judge(self) -> None:
        """The target holds what it has to, and nothing else is beside it."""
        found = self.target.read_bytes() if self.target.exists() else None
        assert found == self.held
        assert os.listdir(self.target.parent) == ([] if self.held is None else [self.target.name])


def descriptors() -> set[str]:
    """The open descriptors of this process."""
    gc.collect(0)
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:  # the one by which the directory was listed
            continue
    return found


@pytest.mark.parametrize("volume", VOLUMES)
def test_each_single_fault_leaves_the_old_or_the_new_image(volume: str) -> None:
    bench = Bench()
    seen: set[str] = set()
    expected = set(CALLS)
    if volume == "unaligned tar":
        expected.remove("clone")
    if not nameless_files(bench.base):
        expected.remove("link")
    try:
        bench.plan(volume)
        for name, call in CALLS.items():
            for effect in call.harmless + call.source_errors + call.target_errors:
                for nth in (0, 1):
                    bench.hold(OLD)
                    faults = [Fault(name, nth, effect, 0.3)]
                    if name == "create":  # there are no nameless files, or nothing is created
                        faults.append(Fault("open nameless", 0, errno.EOPNOTSUPP))
                    how, injector = bench.write(faults, fsync=True)
                    seen.update(fault.call for fault, _ in injector.came)
                    assert effect not in call.harmless or how == "written"
    finally:
        bench.remove()
    assert seen == expected


# As many as there may be, in any order ---------------------------------------------------------

NAMES = tuple(FILES)
SIZES = (1, 511, 4096, 4097, (64 << 10) - 1, 64 << 10, (64 << 10) + 5000, (1 << 20) + 1)
KINDS = ("nothing", "directory", "pipe")

names = st.sampled_from(NAMES)
volumes = st.sampled_from(sorted(VOLUMES))


@st.composite
def fault_lists(draw: st.DrawFn) -> list[Fault]:
    """Up to four faults, most of them early enough to come about."""
    faults = []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(sorted(CALLS)))
        call = CALLS[name]
        # As often harmless as not, or hardly any write would get far.
        kinds = [call.harmless, call.source_errors + call.target_errors]
        effect = draw(st.sampled_from(draw(st.sampled_from([kind for kind in kinds if kind]))))
        nth = draw(st.integers(0, 4))
        faults.append(Fault(name, nth, effect, draw(st.sampled_from((0.0, 0.3, 0.999)))))
    return faults


class Writing(RuleBasedStateMachine):
    """Sources that change, a plan that may be out of date, and writes that may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()

    def teardown(self) -> None:
        self.bench.remove()

    @initialize(volume=volumes, old=st.booleans())
    def begin(self, volume: str, old: bool) -> None:
        if old:
            self.bench.hold(OLD)
        self.bench.plan(volume)

    @rule(name=names, size=st.sampled_from(SIZES), seed=st.integers(1, 3))
    def rewrite(self, name: str, size: int, seed: int) -> None:
        self.bench.fill(name, size, seed)
        self.bench.changed.add(name)

    @rule(name=names, by=st.integers(-4000, 4000))
    def touch_grow_or_shrink(self, name: str, by: int) -> None:
        path = self.bench.source / name
        if path.is_file():
            os.truncate(path, max(1, path.stat().st_size + by))
            self.bench.set_time(name)
            self.bench.changed.add(name)

    @rule(name=names, kind=st.sampled_from(KINDS))
    def replace(self, name: str, kind: str) -> None:
        path = self.bench.clear(name)
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        self.bench.changed.add(name)

    @rule(volume=volumes)
    def plan(self, volume: str) -> None:
        self.bench.plan(volume)

    @rule(faults=fault_lists(), fsync=st.booleans())
    def write(self, faults: list[Fault], fsync: bool) -> None:
        event(self.bench.write(faults, fsync)[0])

    @rule(volume=volumes, faults=fault_lists(), fsync=st.booleans())
    def plan_and_write(self, volume: str, faults: list[Fault], fsync: bool) -> None:
        self.bench.plan(volume)
        event(self.bench.write(faults, fsync)[0])

    @rule(volume=volumes, faults=fault_lists())
    def plan_and_write_with_harmless_faults(self, volume: str, faults: list[Fault]) -> None:
        self.bench.plan(volume)
        harmless = [fault for fault in faults if fault.effect in CALLS[fault.call].harmless]
        assert self.bench.write(harmless, fsync=False)[0] == "written"

    @invariant()
    def target_is_whole_and_alone(self) -> None:
        self.bench.judge()


TestOldOrNewImage = Writing.TestCase
TestOldOrNewImage.settings = settings(
    max_examples=2 * settings().max_examples, stateful_step_count=15
)

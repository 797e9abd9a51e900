"""Whatever goes wrong while it is written: the target is the whole old or the whole new image.

Faults of the operating system and changes of the sources, in any order, as hypothesis finds
them. After each step nothing but the target may be in its directory, no descriptor is left
open, and every failure is an error of the right kind that names the right file.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

import blockpack
from faults.injection import CALLS, Fault, injected
from faults.rendering import pattern, rendered

VOLUMES: dict[str, Callable[[], blockpack.Volume]] = {
    "tar": blockpack.TarVolume,
    "unaligned tar": lambda: blockpack.TarVolume(align=512),
    "FAT": blockpack.FatVolume,
}

FILES = {"a": 1, "b.txt": 4097, "d/c": 40_000, "d/e/large": (1 << 20) + 1, "sparse": 70_000}
NAMES = tuple(FILES)
SIZES = (1, 511, 4096, 4097, (64 << 10) - 1, 64 << 10, (64 << 10) + 5000, (1 << 20) + 1)
HOLE = 256 << 10


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


def contents_of(name: str, size: int, seed: int) -> bytes:
    if name == "sparse":
        return pattern(size, seed) + bytes(HOLE) + pattern(5000, seed)
    return pattern(size, seed)


class Writing(RuleBasedStateMachine):
    """Sources that change, a plan that may be out of date, and writes that may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="blockpack-faults-"))
        self.source = self.base / "source"
        self.target = self.base / "images" / "x.img"
        self.target.parent.mkdir()
        self.held: bytes | None = None
        self.clock = 10**18

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    @initialize(volume=st.sampled_from(sorted(VOLUMES)), old=st.booleans())
    def begin(self, volume: str, old: bool) -> None:
        for name, size in FILES.items():
            self.fill(name, size, 1)
        if old:
            self.held = pattern(10_000)
            self.target.write_bytes(self.held)
        self.plan(volume)

    def fill(self, name: str, size: int, seed: int) -> None:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clear(name)
        with open(path, "wb") as file:
            data = contents_of(name, size, seed)
            for at in range(0, len(data), 4096):
                block = data[at : at + 4096]
                if block.strip(b"\0"):
                    os.pwrite(file.fileno(), block, at)
        self.set_time(name)

    def clear(self, name: str) -> None:
        path = self.source / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    def set_time(self, name: str) -> None:
        # Never the same twice: a clock may be too coarse to tell two changes apart.
        self.clock += 10**9
        os.utime(self.source / name, ns=(self.clock, self.clock))

    # What becomes of sources ---------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES), size=st.sampled_from(SIZES), seed=st.integers(1, 3)
    )
    def rewrite(self, name: str, size: int, seed: int) -> None:
        self.fill(name, size, seed)
        self.changed.add(name)

    @rule(name=st.sampled_from(NAMES))
    def touch(self, name: str) -> None:
        if (self.source / name).exists():
            self.set_time(name)
            self.changed.add(name)

    @rule(name=st.sampled_from(NAMES), by=st.integers(-4000, 4000).filter(bool))
    def grow_or_shrink(self, name: str, by: int) -> None:
        path = self.source / name
        if path.is_file():
            os.truncate(path, max(1, path.stat().st_size + by))
            self.set_time(name)
            self.changed.add(name)

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(("nothing", "directory", "pipe")))
    def replace(self, name: str, kind: str) -> None:
        self.clear(name)
        if kind == "directory":
            (self.source / name).mkdir()
        elif kind == "pipe":
            os.mkfifo(self.source / name)
        self.changed.add(name)

    # Planning and writing ------------------------------------------------------------------

    @rule(volume=st.sampled_from(sorted(VOLUMES)))
    def plan(self, volume: str) -> None:
        for name in NAMES:
            if not (self.source / name).is_file():
                self.fill(name, FILES[name], 1)
        self.layout = VOLUMES[volume]().plan(blockpack.Tree.scan(self.source))
        self.image = rendered(self.layout)
        self.changed: set[str] = set()

    @rule(faults=fault_lists(), fsync=st.booleans())
    def write(self, faults: list[Fault], fsync: bool) -> None:
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
            event("written")
            assert not changed
            assert not injector.source_faults
            assert not injector.target_faults
            self.held = self.image
        elif isinstance(error, blockpack.SourceError):
            event("SourceError")
            assert error.path in changed | injector.source_faults
        else:
            event("TargetError")
            assert type(error) is blockpack.TargetError
            assert injector.target_faults, error
            last = injector.target_faults[-1]
            if last.call == "flush directory":  # by then the new image is in its place
                self.held = self.image
            elif last.call != "look for space":
                assert str(self.target) in str(error)

    @rule(volume=st.sampled_from(sorted(VOLUMES)), faults=fault_lists(), fsync=st.booleans())
    def plan_and_write(self, volume: str, faults: list[Fault], fsync: bool) -> None:
        self.plan(volume)
        self.write(faults, fsync)

    @rule(volume=st.sampled_from(sorted(VOLUMES)), faults=fault_lists())
    def plan_and_write_with_harmless_faults(self, volume: str, faults: list[Fault]) -> None:
        self.plan(volume)
        self.write([fault for fault in faults if fault.effect in CALLS[fault.call].harmless], False)
        assert self.held == self.image

    @invariant()
    def target_is_whole(self) -> None:
        found = self.target.read_bytes() if self.target.exists() else None
        assert found == self.held

    @invariant()
    def nothing_else_is_left(self) -> None:
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


TestOldOrNewImage = Writing.TestCase
TestOldOrNewImage.settings = settings(
    max_examples=4 * settings().max_examples, stateful_step_count=15
)

"""``make bench``: blockpack beside its peers, measured in one run.

Times whole processes (see measure.py) on the works of works.py, and writes a table
(results.md), all samples (results.json), and the figures and charts of the pages. A full run takes
about an hour, 30 GB of disk, 1 GB of memory and, for the file systems that share extents, root.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import figures
import machine
import report
from contestants import Contestant
from loop_mount import CannotMount
from measure import MeasureError, compare
from results import Outcome, Results
from stage import FULL, QUICK, Scene, Skipped, Stage, Work
from targets import Verdict
from works import SCENES

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench"
INTERRUPTED = 130


def main() -> int:
    """Measure, and write the results; the exit code: 1 if a command failed.

    A target that is missed is a result, and no failure.
    """
    arguments = _arguments()
    scale = QUICK if arguments.quick else FULL
    partial = arguments.quick or (arguments.only and not arguments.merge)
    results_directory: Path = arguments.results or (BUILD if partial else HERE)
    results_directory.mkdir(parents=True, exist_ok=True)
    parent: Path = arguments.work or BUILD
    parent.mkdir(parents=True, exist_ok=True)
    _prepare_environment()
    program = shlex.split(arguments.blockpack) if arguments.blockpack else _blockpack()
    versions = machine.versions(program)
    if "blockpack" not in versions:
        _say(f"bench: {shlex.join(program)} does not run; install the package first")
        return 1
    try:
        with _interruptible(), _work_directory(parent) as directory:
            stage = Stage(directory, scale, program, _say)
            results = Results(
                quick=arguments.quick,
                machine=machine.describe(directory),
                versions=versions,
                outcomes=[
                    outcome
                    for scene in SCENES
                    for outcome in _play(scene, stage, arguments.only, arguments.runs)
                ],
            )
    except KeyboardInterrupt:
        _say("bench: interrupted; everything is cleaned up")
        return INTERRUPTED
    if arguments.merge:
        kept = Results.load(results_directory / "results.json")
        results = kept.merged(results, [name for scene in SCENES for name in scene.works])
    report.save(results, results_directory)
    if results_directory == HERE:
        figures.save(results)
    if arguments.json is not None:
        results.save(arguments.json)
    print(report.markdown(results))
    _say(f"bench: results are in {results_directory}")
    return 0 if all(outcome.series or outcome.skipped for outcome in results.outcomes) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, to try it")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=[name for scene in SCENES for name in scene.works],
        help="measure only this work; may be repeated: %(choices)s",
    )
    parser.add_argument(
        "--merge", action="store_true", help="with --only: keep what is known of the other works"
    )
    parser.add_argument(
        "--runs", type=_count, default=5, metavar="N", help="counted rounds (%(default)s)"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where the data goes (build/bench)"
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="where they go (build/bench after --quick or --only, else benchmarks)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the JSON once more, there")
    parser.add_argument("--blockpack", metavar="COMMAND", help="the command to measure")
    return parser.parse_args()


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return count


def _play(scene: Scene, stage: Stage, only: Sequence[str], runs: int) -> Iterator[Outcome]:
    """The outcomes of the scene's works that were asked for."""
    wanted = [name for name in scene.works if not only or name in only]
    if not wanted:
        return
    _say(f"{', '.join(wanted)}")
    done = 0
    try:
        with closing(scene.play(stage)) as works:
            for work in works:
                if work.name in wanted:
                    yield _outcome(work, runs)
                    done += 1
                if done == len(wanted):
                    break
    except (Skipped, CannotMount) as reason:
        _say(f"  skipped: {reason}")
        for name in wanted[done:]:
            yield Outcome(name, name, "seconds", (), (), _today(), str(reason))
    except MeasureError as error:  # in making what others are to read
        _say(f"  failed: {error}")
        for name in wanted[done:]:
            yield Outcome(name, name, "seconds", (), (_failure(error),), _today())


def _outcome(work: Work, runs: int) -> Outcome:
    """The work as measured; a failure is one of the results, and the others go on."""
    _say(f"  {work.title}")
    try:
        return _measure(work, runs)
    except MeasureError as error:
        _say(f"  failed: {error}")
        return Outcome(work.name, work.title, work.metric, (), (_failure(error),), _today())


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def _failure(error: MeasureError) -> Verdict:
    return Verdict("to succeed", str(error).partition("\n")[0], False)


def _measure(work: Work, runs: int) -> Outcome:
    present = [contestant for contestant in work.contestants if _installed(contestant)]
    count = max(1, round(runs * work.repeat))
    series = compare(present, count, _say, warm_up=work.warm_up)
    return Outcome(
        work.name,
        work.title,
        work.metric,
        tuple(series.values()),
        tuple(target(series) for target in work.targets),
        _today(),
    )


def _installed(contestant: Contestant) -> bool:
    absent = [program for program in contestant.needs if shutil.which(program) is None]
    if absent:
        _say(f"    {contestant.name}: left out, {', '.join(absent)} is not installed")
    return not absent


def _blockpack() -> list[str]:
    """The command that is installed beside this interpreter."""
    beside = Path(sys.executable).with_name("blockpack")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "blockpack"]


def _prepare_environment() -> None:
    """The same for every contestant, and what root's programs need to be found."""
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    os.environ["LC_ALL"] = "C.UTF-8"
    for name in ("TAR_OPTIONS", "MTOOLSRC", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)


@contextmanager
def _work_directory(parent: Path) -> Iterator[Path]:
    """A new directory, gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP clean up as Ctrl-C does, and only once."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, interrupt) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

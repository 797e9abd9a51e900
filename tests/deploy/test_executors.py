"""Any executor builds: processes, threads, and a cluster of dask.distributed as real processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from blockpack import Problems, TargetError, UsageError
from blockpack.deploy.building.build import build
from blockpack.workers.pool import WorkerPool
from cli.running import environment, process
from deploy.deployments import names, record, write_files
from faults.launching import COMMAND, run


def images(directory: Path) -> list[tuple[str, str]]:
    """Each volume with the digest of its image."""
    return [(volume["name"], volume["sha256"]) for volume in record(directory)["volumes"]]


@pytest.fixture(name="expected")
def fixture_expected(deployment: Path, tmp_path: Path) -> list[tuple[str, str]]:
    """What this process alone builds."""
    build(deployment, tmp_path / "expected", jobs=1)
    return images(tmp_path / "expected")


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_every_executor_builds_the_same(
    deployment: Path,
    tmp_path: Path,
    expected: list[tuple[str, str]],
    kind: type[ThreadPoolExecutor] | type[ProcessPoolExecutor],
) -> None:
    with kind(2) as executor:
        report = build(deployment, tmp_path / "dist", executor=executor)
        assert report.built == ("site", "media")
        assert build(deployment, tmp_path / "dist", executor=executor).unchanged
    assert images(tmp_path / "dist") == expected


def test_forked_processes_build_the_same(
    deployment: Path, tmp_path: Path, expected: list[tuple[str, str]]
) -> None:
    build(deployment, tmp_path / "dist", jobs=2)
    assert images(tmp_path / "dist") == expected


def test_the_command_takes_an_executor_by_its_name(
    deployment: Path, tmp_path: Path, expected: list[tuple[str, str]]
) -> None:
    (tmp_path / "hooks.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def pool():\n"
        "    print('asked')\n"
        "    return ThreadPoolExecutor(2)\n"
        "def other():\n"
        "    return 3\n"
    )
    path = os.pathsep.join([environment()["PYTHONPATH"], str(tmp_path)])
    out = tmp_path / "dist"
    arguments = ("build", deployment, "--out", out, "--executor")
    done = process(*arguments, "hooks:pool", changes={"PYTHONPATH": path})
    assert done.out == b"asked\n"
    assert images(out) == expected
    (deployment / "site/new").write_bytes(b"")
    for name, wanted in {
        "hooks:other": "have it return a concurrent.futures.Executor",
        "hooks:nothing": "cannot be imported",
        "no_such:thing": "cannot be imported",
        "hooks": "is not an executor; give dask://HOST:PORT or MODULE:CALLABLE",
    }.items():
        done = process(*arguments, name, code=2, changes={"PYTHONPATH": path})
        assert wanted in done.err


class Lossy(Executor):
    """Loses its first task, and has the second one fail on its way."""

    def __init__(self) -> None:
        self.tasks = 0

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        self.tasks += 1
        if self.tasks == 1:
            future.set_result(fn(*args, **kwargs))
        elif self.tasks == 2:
            future.set_exception(RuntimeError("the machine is gone"))
        return future


def test_what_an_executor_loses_is_told_and_the_rest_is_there(
    deployment: Path, tmp_path: Path
) -> None:
    with pytest.raises(Problems) as caught:
        build(deployment, tmp_path / "dist", executor=Lossy())
    assert caught.value.exit_code == TargetError.exit_code
    assert "volume media:\n  the executor did not build it: RuntimeError: the machine is gone" in (
        str(caught.value)
    )
    assert [name for name, _ in images(tmp_path / "dist")] == ["site"]
    assert names(tmp_path / "dist") == {
        *("site.img", "site.json", "manifest.json", ".blockpack-build.json")
    }
    assert build(deployment, tmp_path / "dist").built == ("media",)


@pytest.mark.parametrize(
    "volumes",
    [
        pytest.param(["site"], id="takes no more"),
        pytest.param([], id="takes nothing"),
    ],
)
def test_what_an_executor_does_not_take_is_told_and_the_rest_is_there(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volumes: list[str]
) -> None:
    with ThreadPoolExecutor(1) as executor:
        submit = executor.submit
        taken = iter(volumes)

        def breaking(fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            if next(taken, None) is None:
                raise BrokenExecutor("the pool is broken")
            return submit(fn, *args, **kwargs)

        monkeypatch.setattr(executor, "submit", breaking)
        with pytest.raises(Problems) as caught:
            build(deployment, tmp_path / "dist", executor=executor)
    rule = "the executor did not build it: BrokenExecutor: the pool is broken"
    assert str(caught.value).count(rule) == 2 - len(volumes)
    if volumes:
        assert [name for name, _ in images(tmp_path / "dist")] == volumes


def no_descriptors(*_: object) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("name", "instead"),
    [("__init__", no_descriptors), ("start", lambda *_: 0)],
    ids=["pipe", "process"],
)
def test_without_another_process_this_one_builds(
    deployment: Path,
    tmp_path: Path,
    expected: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    instead: object,
) -> None:
    monkeypatch.setattr(WorkerPool, name, instead)
    build(deployment, tmp_path / "dist", jobs=2)
    assert images(tmp_path / "dist") == expected


# A cluster -------------------------------------------------------------------------------------

SCHEDULER = """
import asyncio, sys
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(main())
"""

WORKER = """
import asyncio, sys
from distributed import Worker
async def main():
    async with Worker(sys.argv[1], nthreads=1, dashboard=False, name=sys.argv[2]) as worker:
        print(worker.address, flush=True)
        await worker.finished()
asyncio.run(main())
"""


class Cluster:
    """A scheduler and two workers, each a process of its own."""

    def __init__(self, stack: ExitStack, tmp_path: Path) -> None:
        self._stack = stack
        self._place = tmp_path
        scheduler = self._start(SCHEDULER)
        assert scheduler.stdout is not None
        self.address = scheduler.stdout.readline().decode().strip()
        self.workers = [self._start(WORKER, self.address, str(number)) for number in range(2)]
        for worker in self.workers:
            assert worker.stdout is not None
            assert worker.stdout.readline()

    @property
    def name(self) -> str:
        return self.address.replace("tcp://", "dask://")

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", program, *arguments]
        started = subprocess.Popen(
            command,
            env=environment(
                {
                    "SOURCE_DATE_EPOCH": "1",
                    "DASK_TEMPORARY_DIRECTORY": str(self._place),
                    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
                }
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._place,
        )
        self._stack.enter_context(started)
        self._stack.callback(started.kill)
        return started


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path_factory.mktemp("cluster"))


def test_a_cluster_of_processes_builds_the_same(
    deployment: Path, tmp_path: Path, expected: list[tuple[str, str]], cluster: Cluster
) -> None:
    out = tmp_path / "dist"
    arguments = ("build", deployment, "--out", out, "--executor", cluster.name)
    done = process(*arguments)
    assert "site.img: built" in done.err
    assert images(out) == expected  # whatever SOURCE_DATE_EPOCH the workers have
    assert "2 images unchanged" in process(*arguments).err
    # What fails there is told here, as it is anywhere.
    write_files(deployment, {"site/a:b": b""})
    done = process(*arguments, code=3)
    assert "a:b" in done.err
    (deployment / "site/a:b").unlink()
    (out / "media.img").unlink()
    assert "media.img: built" in process(*arguments).err
    assert images(out) == expected


def test_a_cluster_whose_workers_die_is_an_error(
    deployment: Path, tmp_path: Path, cluster: Cluster
) -> None:
    hook = tmp_path / "hooks.py"
    hook.write_text(
        "import os\n"
        "from distributed import Client\n"
        f"CLIENT = Client({cluster.address!r}, set_as_default=False)\n"
        "def pool():\n"
        "    executor = CLIENT.get_executor(pure=False)\n"
        "    submit = executor.submit\n"
        "    def deadly(function, task):\n"
        "        if task.spec.name == 'media':\n"
        "            return submit(os._exit, 9)\n"
        "        return submit(function, task)\n"
        "    executor.submit = deadly\n"
        "    return executor\n"
    )
    path = os.pathsep.join([environment()["PYTHONPATH"], str(tmp_path)])
    out = tmp_path / "dist"
    process(
        *("build", deployment, "--out", out, "--only", "site", "--executor", "hooks:pool"),
        changes={"PYTHONPATH": path},
    )
    done = process(
        *("build", deployment, "--out", out, "--executor", "hooks:pool"),
        code=None,
        changes={"PYTHONPATH": path},
    )
    assert done.code == 5, done
    assert "volume media" in done.err
    assert [name for name, _ in images(out)] == ["site"]
    assert not [name for name in names(out) if name.endswith(".tmp")]


def test_a_cluster_that_is_not_there_is_an_error(deployment: Path, tmp_path: Path) -> None:
    # In a process of its own: dask leaves a thread behind then, and one with threads must not fork.
    out = tmp_path / "dist"
    arguments = ("build", deployment, "--out", out, "--executor", "dask://127.0.0.1:1")
    soon = "from blockpack.deploy.building import executors\nexecutors.CLUSTER_ANSWERS = 0.5\n"
    code, _, errors = run(soon + COMMAND, *arguments)
    assert code == TargetError.exit_code
    assert "dask://127.0.0.1:1: no cluster answers there" in errors
    assert not out.exists()


def test_a_name_that_stands_for_no_executor_is_an_error(deployment: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MODULE:CALLABLE"):
        build(deployment, tmp_path / "dist", executor="dask")

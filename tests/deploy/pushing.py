"""A host that is pushed to: a bare repository with the hooks of examples/, and a clone to push."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

import blockpack
from blockpack.deploy.host.settings import HostSettings
from deploy.deployments import FILES, contents
from repositories import ENVIRONMENT, Files, GitRepository

HOOKS = Path(__file__).parents[2] / "examples" / "hooks"

BAD = {"site/what?": b"", "site/a:b": b""}
"""Files that no FAT holds."""

REFUSED = "the push is refused; what is live stays live"


@frozen
class Pushed:
    """What came of a push: git's exit status, and what the pusher was told by the hooks."""

    code: int
    told: str


@frozen
class Host:
    """A repository with hooks, the directory that it deploys to, and a repository to push from."""

    repository: GitRepository
    root: Path
    clone: GitRepository

    @classmethod
    def at(cls, place: Path, *options: str, hooks: tuple[str, ...] = ("pre-receive",)) -> Host:
        """A host in `place`, where nothing is deployed yet; `options` are those of ``git init``."""
        place.mkdir(parents=True, exist_ok=True)
        repository = GitRepository.init(place / "www.git", "--bare", *options)
        for name in (*hooks, "post-receive"):
            shutil.copy(HOOKS / name, repository.path / "hooks" / name)
        program = place / "blockpack"
        source = Path(blockpack.__file__).parents[1]
        program.write_text(
            f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(source))}"
            f' exec {shlex.quote(sys.executable)} -m blockpack "$@"\n'
        )
        program.chmod(0o755)
        host = cls(repository, place / "root", GitRepository.init(place / "clone", *options))
        host.configure(command=str(program), root=str(host.root))
        host.clone.git("remote", "add", "origin", repository.path)
        return host

    def copy(self, place: Path) -> Host:
        """The same in another place."""
        old = self.root.parent
        shutil.copytree(old, place, symlinks=True)
        for config in (place / "www.git/config", place / "clone/.git/config"):
            config.write_text(config.read_text().replace(f"{old}/", f"{place}/"))
        return Host(
            GitRepository(place / "www.git"), place / "root", GitRepository(place / "clone")
        )

    def configure(self, **values: str) -> None:
        """Set keys of the hooks' configuration."""
        for key, value in values.items():
            self.repository.git("config", f"blockpack.{key}", value)

    def settings(self, **values: str | int) -> None:
        """Write the settings of the host, and no others."""
        self.root.mkdir(exist_ok=True)
        HostSettings(**values).write(self.root)  # type: ignore[arg-type]

    def commit(self, changes: Files | None = None, branch: str = "main") -> str:
        """Commit the files of `FILES` with `changes` to a branch of the clone; the commit's id."""
        return self.clone.commit({**FILES, **(changes or {})}, branch=branch)

    def push(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Pushed:
        """Push; without arguments the branch ``main``."""
        done = subprocess.run(
            ["git", "-C", self.clone.path, "push", "origin", *(arguments or ["main"])],
            env={**ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        told = done.stdout.decode(errors="backslashreplace")
        lines = (line for line in told.splitlines() if line.startswith("remote: "))
        words = "\n".join(line.removeprefix("remote: ").rstrip() for line in lines)
        assert "Traceback" not in told, told
        return Pushed(done.returncode, words)

    @property
    def live(self) -> str | None:
        """The name of the generation that is live."""
        current = self.root / "current"
        return os.readlink(current).rpartition("/")[2] if current.is_symlink() else None

    @property
    def live_files(self) -> dict[str, bytes]:
        """The files in the image ``site`` that is live."""
        return contents(self.root / "current/site.img")

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What is live, and the branch, stay as they are."""
        before = self.live, self.refs()
        yield
        assert (self.live, self.refs()) == before

    def refs(self) -> str:
        """Every ref of the repository, and what it is."""
        return self.repository.git("for-each-ref", "--format=%(refname) %(objectname)").decode()

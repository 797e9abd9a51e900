"""A host that deploys from a repository, and ways to see what is live there."""

from __future__ import annotations

import shlex
from pathlib import Path

from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import DeployReport, deploy
from deploy.deployments import FILES, names, record
from repositories import GitRepository


class Host:
    """A repository, a root that it is deployed to, and a command that notes what it is told."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.repository = GitRepository.init(place / "repository.git", "--bare")
        self.root = place / "root"
        self.log = place / "log"
        self.commit(**FILES)

    def commit(self, **changes: bytes | None) -> str:
        """Commit the usual files with changes; those that are None are left out."""
        files = {name: data for name, data in (FILES | changes).items() if data is not None}
        return self.repository.commit(files)

    def deploy(self, **options: object) -> DeployReport:
        return deploy(self.repository.path, "main", self.root, **options)  # type: ignore[arg-type]

    def deploy_times(self, count: int) -> None:
        """Deploy so many commits, all of another page."""
        for number in range(count):
            self.commit(**{"site/index.html": b"%d" % number})
            self.deploy()

    def command(self, code: int = 0) -> str:
        told = " ".join(
            f"$BLOCKPACK_{name}" for name in ("WHY", "GENERATION", "PREVIOUS", "COMMIT", "NAME")
        )
        live = f"$(readlink {shlex.quote(str(self.root / 'current'))})"
        log = shlex.quote(str(self.log))
        return f'echo "{told} $PWD {live} $BLOCKPACK_PATH" >> {log}; exit {code}'

    def told(self) -> list[list[str]]:
        """What the command was told since it was asked last."""
        found = [line.split(" ") for line in self.log.read_text().splitlines()]
        self.log.unlink()
        return found

    def numbers(self) -> list[int]:
        return [generation.number for generation in Generations(self.root).all()]

    def switches(self) -> list[str]:
        """Why there was each switch, the oldest first."""
        return [line["why"] for line in Generations(self.root).activations() if "why" in line]

    def outcomes(self) -> dict[int, str | None]:
        """Why generations failed, by their numbers; None for those that passed."""
        found = Generations(self.root).outcomes()
        return {**dict.fromkeys(found.passed), **found.failed}

    def live_image_is_whole(self) -> None:
        """Every image of the live generation is as its record says."""
        record(self.root / "current")

    def live(self) -> int | None:
        """The number of the live generation, every image of which is checked."""
        generation = Generations(self.root).current()
        if generation is None:
            return None
        record(self.root / "current")
        assert not [name for name in names(self.root / "generations") if name.startswith(".")]
        return generation.number

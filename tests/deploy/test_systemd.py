"""The units of examples/systemd: sound, confined, and with command lines that do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.pushing import Host
from judges.programs import on_ci
from repositories import ENVIRONMENT, GitRepository

UNITS = Path(__file__).parents[2] / "examples" / "systemd"
SERVICE = UNITS / "blockpack-deploy.service"

EXPOSURE = 1.5
"""The most that the service may be exposed by systemd's counting, which ends at 10."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        package = {"systemd-analyze": "systemd"}.get(name, name)
        reason = f"{name} is not installed (Debian: apt install {package})"
        (pytest.fail if on_ci() else pytest.skip)(reason)
    return found


def settings(name: str, service: str = "deploy") -> list[str]:
    """The values of a setting of a service, in their order."""
    text = (UNITS / f"blockpack-{service}.service").read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@pytest.fixture(name="units")
def fixture_units(tmp_path: Path) -> Path:
    """The units, with the path of a program that is there."""
    directory = tmp_path / "units"
    shutil.copytree(UNITS, directory)
    program = "/usr/local/bin/blockpack"
    for service in directory.glob("*.service"):
        assert program in service.read_text()
        service.write_text(service.read_text().replace(program, "/bin/true"))
    return directory


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    command = [tool("systemd-analyze"), "verify", *sorted(map(str, units.iterdir()))]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    ours = [line for line in done.stdout.splitlines() if "blockpack-deploy" in line]
    assert done.returncode == 0 and not ours, done.stdout


@pytest.mark.parametrize("service", ["deploy", "verify"])
def test_the_services_are_confined(units: Path, service: str) -> None:
    command = [
        *(tool("systemd-analyze"), "security", "--offline=true", "--no-pager"),
        *(f"--threshold={EXPOSURE * 10:.0f}", str(units / f"blockpack-{service}.service")),
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if "nrecognized option" in done.stdout:
        pytest.skip("this systemd judges only units that are loaded")
    assert done.returncode == 0, done.stdout


def lines(host: Host, service: str = "deploy") -> list[list[str]]:
    """What a service runs, for the mirror of a repository that `host` has."""
    values = dict(value.split("=", 1) for value in settings("Environment"))
    values |= {"REPOSITORY": str(host.root.parent / "mirror.git"), "ROOT": str(host.root)}
    program = host.repository.git("config", "blockpack.command").decode().strip()
    found = []
    for line in settings("ExecStartPre", service) + settings("ExecStart", service):
        words = [re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], w) for w in line.split()]
        found.append([program if word.endswith("/blockpack") else word for word in words])
    return found


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    """A host that pulls: it has a mirror of a repository that is elsewhere, without any hook."""
    host = Host.at(tmp_path / "host", hooks=())
    shutil.rmtree(host.repository.path / "hooks")
    host.commit()
    host.push()
    mirror = host.root.parent / "mirror.git"
    host.settings(repository=str(mirror), revision="refs/heads/main", keep=5, max_size=1 << 34)
    GitRepository.init(tmp_path / "unused").git("clone", "--mirror", host.repository.path, mirror)
    return host


def run(host: Host, *prefix: str, service: str = "deploy") -> str:
    told = ""
    for line in lines(host, service):
        done = subprocess.run(
            [*prefix, *line], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, check=True
        )
        told = done.stderr
    return told


def test_the_service_deploys_what_was_pushed_elsewhere(host: Host) -> None:
    assert "is live" in run(host)
    assert "is live already" in run(host)
    commit = host.commit({"site/new": b"new"})
    host.push()
    run(host)
    assert host.live == f"0002-{commit[:12]}"
    host.clone.git("branch", "--force", "other", "main~1")
    host.push("--force", "other:main")  # the mirror follows this, too
    run(host)
    assert host.live is not None and host.live.startswith("0003-")


def test_what_is_damaged_when_the_host_boots_is_built_anew(host: Host) -> None:
    run(host)
    run(host, service="verify")
    image = host.root / "current/site.img"
    image.chmod(0o644)
    with open(image, "r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(host, service="verify")
    assert failed.value.returncode == 6 and "is damaged" in failed.value.stderr
    assert settings("OnFailure", "verify") == [SERVICE.name]
    assert "is live" in run(host)
    run(host, service="verify")


def test_the_service_may_do_all_that_it_does(host: Host, tmp_path: Path) -> None:
    """Every system call that is made is among those that the unit allows."""
    traces = tmp_path / "traces"
    traces.mkdir()
    run(host, tool("strace"), "-ff", "-qq", "-o", str(traces / "trace"))
    made = {
        match[1]
        for trace in traces.iterdir()
        for match in re.finditer(r"^(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)
    }
    allowed: set[str] = set()
    for value in settings("SystemCallFilter"):
        for group in value.removeprefix("~").split():
            calls = expanded(group)
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    assert {"openat", "execve", "renameat"} <= made
    assert made - allowed == set()


def expanded(group: str) -> set[str]:
    """The system calls in a group of systemd's."""
    listing = subprocess.run(
        [tool("systemd-analyze"), "syscall-filter", group],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    ).stdout
    found: set[str] = set()
    for line in listing.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= expanded(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found

"""What cannot be deployed is refused, and what is live stays live."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.deployments import FILES
from deploy.pushing import BAD, REFUSED, Host


def test_what_cannot_be_built_is_refused_until_it_is_mended(deployed: Host) -> None:
    deployed.commit(BAD)
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told
    assert "FAT has no '?' in names" in pushed.told and "a:b" in pushed.told
    # The objects went with the quarantine.
    oid = deployed.clone.oid("main")
    with pytest.raises(subprocess.CalledProcessError):
        deployed.repository.git("cat-file", "-e", oid)
    commit = deployed.commit({"site/new": b"new"})
    assert deployed.push().code == 0
    assert deployed.live == f"0002-{commit[:12]}"


def test_a_manifest_that_is_wrong_is_refused(deployed: Host) -> None:
    deployed.commit({"blockpack.toml": b"[deployment"})
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told and "blockpack.toml:" in pushed.told


def test_a_commit_without_a_manifest_is_refused(deployed: Host) -> None:
    deployed.clone.commit({"x": b""})
    with deployed.unchanged():
        assert "has no blockpack.toml" in deployed.push().told


def test_without_pre_receive_the_pusher_is_told(tmp_path: Path) -> None:
    host = Host.at(tmp_path / "host", hooks=())
    host.commit()
    host.push()
    live = host.live
    bad = host.commit(BAD)
    pushed = host.push()
    assert pushed.code == 0 and host.repository.oid("main") == bad  # it is too late to refuse
    assert "FAT has no '?' in names" in pushed.told
    assert "is not deployed; what was live stays live" in pushed.told
    assert live is not None and host.live == live


def test_a_command_that_fails_has_the_old_generation_stay(deployed: Host) -> None:
    live = deployed.live
    deployed.settings(on_activate='test "$BLOCKPACK_WHY" = undone')
    deployed.commit({"site/new": b"new"})
    pushed = deployed.push()
    assert "generation 1 is live again" in pushed.told and deployed.live == live
    assert "is not deployed" in pushed.told


def test_a_host_without_a_root_says_so(host: Host) -> None:
    host.repository.git("config", "--unset", "blockpack.root")
    host.commit()
    assert "set blockpack.root" in host.push().told
    assert host.live is None


def test_a_host_without_the_command_says_so(host: Host) -> None:
    host.configure(command="/nowhere/blockpack")
    host.commit()
    pushed = host.push()
    assert pushed.code and "not found" in pushed.told and not host.refs()


def test_how_large_images_may_be_is_a_setting_of_the_host(deployed: Host) -> None:
    text = FILES["blockpack.toml"].replace(b'format = "tar"', b'format = "tar"\nfree = "1T"')
    deployed.settings(max_size=1 << 30)
    deployed.commit({"blockpack.toml": text})
    with deployed.unchanged():
        pushed = deployed.push()
    assert pushed.code and REFUSED in pushed.told
    assert "volume media" in pushed.told and "the limit of 1,073,741,824 bytes" in pushed.told


def test_images_too_large_are_not_deployed_without_pre_receive_either(tmp_path: Path) -> None:
    host = Host.at(tmp_path / "host", hooks=())
    host.settings(max_size=64 << 10)
    host.commit()
    pushed = host.push()
    assert "more than the limit of 65,536 bytes" in pushed.told and host.live is None
    assert "is not deployed; what was live stays live" in pushed.told


def test_what_is_kept_is_a_setting_of_the_host(deployed: Host) -> None:
    deployed.settings(keep=2)
    for number in range(2):
        deployed.commit({"site/new": b"%d" % number})
        deployed.push()
    assert len(list((deployed.root / "generations").iterdir())) == 2

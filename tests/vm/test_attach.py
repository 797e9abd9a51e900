"""QEMU boots with what `attach` prints: Linux finds images by their names, and reads them."""

from __future__ import annotations

from collections.abc import Callable

from deploy.attach.builds import FILES
from vm.boot import Boot


def test_linux_reads_what_was_attached(booted: Callable[[str], Boot]) -> None:
    found, scratch = booted("attached")
    for name in ("site", "media", "notes"):
        read = {
            path.removeprefix(f"{name}/"): data
            for path, data in found.items()
            if path.startswith(f"{name}/")
        }
        assert read == FILES, name
        assert int(found[f"{name}.size"]) * 512 == (scratch / f"{name}.img").stat().st_size
    assert {name: found[f"{name}.ro"] for name in ("site", "media", "notes")} == {
        "site": b"1\n",
        "media": b"1\n",
        "notes": b"0\n",
    }
    assert [found[f"{name}.sector"] for name in ("site", "media")] == [b"4096\n", b"512\n"]
    assert "media.lost" not in found
    before, after = ((scratch / name).read_bytes() for name in ("before.img", "notes.img"))
    assert after[512:517] == b"sign\n" and after[:512] == before[:512]

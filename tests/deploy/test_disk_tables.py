"""Whatever a manifest says of disks, it is a manifest or all that is wrong with it, with lines."""

from __future__ import annotations

import json
import pickle

from hypothesis import example, given
from hypothesis import strategies as st

from blockpack import ManifestError, Problems
from blockpack.deploy.manifest.disk_tables import DISK_KEYS, PARTITION_KEYS, RAW_KEYS
from blockpack.deploy.manifest.parser import Manifest
from deploy.manifests import TAR

SIMPLE = st.one_of(
    st.sampled_from(["gpt", "mbr", "hybrid", "esp", "linux", "rest", "1M", "4K", "site", "boot"]),
    st.sampled_from([0, 1, 12, 512, 4096, -1, 1 << 20, 1 << 63, 1 << 64, 1 << 70, 0.5, 512.0]),
    st.booleans(),
    st.text(max_size=40).filter(lambda text: text.isprintable()),
    st.lists(st.sampled_from(["boot", "read-only", "63", "64", "x"]), max_size=3),
)


def tables(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from([*keys, "typo"]), SIMPLE, max_size=5)


LISTS = st.fixed_dictionaries(
    {},
    optional={
        "partitions": st.lists(tables(PARTITION_KEYS), max_size=4),
        "raw": st.lists(tables(RAW_KEYS), max_size=3),
    },
)
DISKS = st.dictionaries(
    st.sampled_from(["card", "Card", "site", "manifest", "a b"]),
    st.builds(lambda own, lists: own | lists, tables(DISK_KEYS), LISTS) | SIMPLE,
    max_size=3,
)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(value[key])}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@given(DISKS)
@example({"card": {"partitions": [{"volume": "site", "path": "a", "size": 0.5}]}})
@example({"card": {"sector-size": 512.0, "partitions": [{"volume": "site"}]}})
@example({"card": {"entries": True, "raw": [{"path": ".", "offset": 1 << 64}]}})
def test_a_manifest_is_sound_or_refused(disks: dict[str, object]) -> None:
    text = f"disks = {toml(disks)}\n{TAR}"
    try:
        manifest = Manifest.parse(text)
    except Problems as refused:
        assert refused.errors and refused.exit_code == 2
        assert all(isinstance(error, ManifestError) and error.line for error in refused.errors)
        return
    assert set(manifest.disks) == set(disks)
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    for disk in manifest.disks.values():
        assert disk.device().format == "disk" and disk.least_size >= 0 and disk.facts

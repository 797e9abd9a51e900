"""What is unsound about the entries of an image is all found, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blockpack.formats.reader import ImageEntry, Kind
from blockpack.images.soundness import unsound
from blockpack.model.entry import check_path

PARTS = st.sampled_from(
    ["a", "b", "..", ".", "", ".a", "a b", "ü", "\0", "\udcff", "\ud800", "a.", " "]
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from(["file", "directory", "symlink", "other"])


def slowly(entries: dict[str, ImageEntry]) -> set[str]:
    """The paths that are unsound, or below something that is not a directory."""
    found = {path for path in entries if check_path(path) is not None}
    for path in entries:
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if any(each in entries and entries[each].kind != "directory" for each in above):
            found.add(path)
    return found


@given(kinds=st.dictionaries(PATHS, KINDS, max_size=8))
def test_what_is_unsound_is_what_a_slow_look_finds(kinds: dict[str, Kind]) -> None:
    entries = {path: ImageEntry(path=path, kind=kind, target="x") for path, kind in kinds.items()}
    assert {error.path for error in unsound(entries)} == slowly(entries)


@given(target=st.sampled_from(["", "a\0b", "fine", "../up", "/etc", "\ud800"]))
def test_links_that_lead_to_no_path_are_unsound(target: str) -> None:
    entries = {"a": ImageEntry(path="a", kind="symlink", target=target)}
    assert bool(list(unsound(entries))) == (target in ("", "a\0b", "\ud800"))

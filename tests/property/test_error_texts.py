"""Whatever is in a name, an error is told on one line that a terminal or a log takes as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.errors import ManifestError, raise_problems

TEXTS = st.text(st.characters(), min_size=1, max_size=20)
"""Any text at all, with the halves of characters that stand for bytes which are no UTF-8."""


@given(TEXTS, TEXTS, TEXTS)
def test_an_error_is_one_printable_line(path: str, rule: str, remedy: str) -> None:
    assert str(blockpack.ImageError(path, rule, remedy)).isprintable()
    assert str(ManifestError(path, 1, "key", rule, remedy)).isprintable()


@given(TEXTS, TEXTS)
def test_problems_are_a_printable_line_each(message: str, rule: str) -> None:
    with pytest.raises(blockpack.Problems) as raised:
        raise_problems(message, [blockpack.UsageError("", rule)])
    lines = str(raised.value).split("\n")
    assert len(lines) == 2 and all(line.isprintable() for line in lines)

"""Patterns to leave out match what pathspec and git say, and never try two ways to do so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from re import _constants as opcodes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from blockpack import UsageError, scan
from blockpack.sources.exclude import excluding, straightened
from repositories import GitRepository

# Bracket expressions of pathspec's match slashes too; git's do not, and so it judges those.
pieces = st.sampled_from(["a", "b", "ü", ".", "*", "*", "?", "[ab]", "[]a]", "\\*", "\\a", " "])
globs = st.lists(pieces, min_size=1, max_size=6).map("".join)
names = st.text("aabbü. *\\", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=6).map("/".join)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    parts = draw(st.lists(globs | st.just("**"), min_size=1, max_size=6))
    return draw(st.sampled_from(["", "/"])) + "/".join(parts) + draw(st.sampled_from(["", "/"]))


def leaves_out(lines: list[str], path: str) -> bool:
    """Whether a scan with these patterns would not come to the file `path`."""
    excluded = excluding(lines)
    assert excluded is not None
    above = [path[:at] for at, character in enumerate(path) if character == "/"]
    return any(excluded(directory, True) for directory in above) or excluded(path, False)


@given(st.lists(patterns(), min_size=1, max_size=4), st.lists(paths, min_size=1, max_size=9))
@example(["*a*ab"], ["aab", "aabab", "ab/b", "b/aab/a", "aaa"])
@example(["**/a/**/b"], ["a/b/a/b", "a/a/b/b", "b/a", "a/b/b/a"])
@example(["a*a"], ["a", "aa"])
def test_patterns_match_as_pathspec_has_them_match(lines: list[str], found: list[str]) -> None:
    spec = GitIgnoreSpec.from_lines(lines)
    for path in found:
        assert leaves_out(lines, path) == spec.match_file(path)


plain_globs = st.lists(st.sampled_from("ab**?."), min_size=1, max_size=4).map("".join)
plain_patterns = st.builds(
    lambda takes_back, anchored, parts, end: takes_back + anchored + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(plain_globs | st.just("**"), min_size=1, max_size=3).filter(
        # Of "b**/**/" git's own answers contradict one another.
        lambda parts: parts[-1].strip("*") or not any("**" in p and p.strip("*") for p in parts)
    ),
    st.sampled_from(["", "/"]),
)
plain_paths = st.lists(
    st.text("abc.", min_size=1, max_size=4).filter(lambda name: set(name) != {"."}),
    min_size=1,
    max_size=4,
).map("/".join)


@given(
    st.lists(plain_patterns, min_size=1, max_size=5),
    st.lists(plain_paths, min_size=1, max_size=20, unique=True),
)
@example(["*", "!*/", "!*.c"], ["x.c", "a/x.c", "a/b/x.c", "a/b", "a/b.d"])
@example(["a/*", "!a/b.c"], ["a/b.c", "a/c", "b"])
@example(["a/**/", "!b/**/", "b/c"], ["a/b", "a/b/c", "b/c", "b/c/a"])
@example(["***/b", "!a/***/c", "/****"], ["a/b", "a/x/b", "b", "a/c", "a/x/y/c", "c***/b"])
def test_patterns_match_as_git_has_them_match(lines: list[str], found: list[str]) -> None:
    assert {path for path in found if leaves_out(lines, path)} == ignored(lines, found)


def ignored(lines: list[str], paths: list[str]) -> set[str]:
    """Those of the paths that git ignores by such patterns."""
    with TemporaryDirectory() as place:
        repository = GitRepository.init(Path(place) / "repository")
        patterns = Path(place) / "patterns"
        patterns.write_text("".join(f"{line}\n" for line in lines))
        done = subprocess.run(
            ("git", "-c", f"core.excludesFile={patterns}", "check-ignore", "-z", "--stdin"),
            cwd=repository.path,
            input="".join(f"{path}\0" for path in paths).encode(),
            stdout=subprocess.PIPE,
            check=False,
        )
    assert done.returncode in (0, 1)
    return set(done.stdout.decode().split("\0")[:-1])


FILES = [
    *("ab", "aab", "abab", "axb", "a b", "[a", "*", "q.b.c", "d/a", "d/b", "a/b/c", "a/b/ab"),
    *("a/x/b", "a/x/y/b/z", "b/a/b/a/b", "x/a/b/c", "x/y/a", "x/build", "build/x", "x/y/build/z"),
]


@pytest.mark.parametrize(
    "lines",
    [
        ["*a*b"],
        ["a*b*b"],
        ["*a*a*b"],
        ["a?b"],
        ["a/*"],
        ["a/*/b"],
        ["/a"],
        ["a/**/b"],
        ["**/b/**/b"],
        ["**/a/**/b/**/b"],
        ["x/**/a"],
        ["build/"],
        ["*/build"],
        ["[!x]*b"],
        ["*[!a]b"],
        ["a[!q]x", "ab"],
        ["[+-0]b", "ab"],
        ["\\[a", "\\*"],
        ["a[[:alpha:]]b"],
        ["a[![:alpha:]]b"],
        ["a[[:space:][:digit:]x]b", "\\[[[:lower:]]"],
        ["/*", "!/a"],
        ["*b*", "!*ab*"],
        ["a/", "!a/b"],
        ["**/*.*.c"],
        ["*", "!*/", "!*b"],
        ["a/**", "!a/b"],
        ["a/*", "!a/x/", "a/x/*", "!a/x/b"],
    ],
    ids=" ".join,
)
def test_patterns_leave_out_the_files_that_git_leaves_out(tmp_path: Path, lines: list[str]) -> None:
    source = tmp_path / "source"
    for name in FILES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"")
    (tmp_path / "patterns").write_text("".join(f"{line}\n" for line in lines))
    repository = GitRepository.init(tmp_path / "repository")
    told = repository.git(
        *("--work-tree", source, "ls-files", "-z", "--others"),
        *("--exclude-from", tmp_path / "patterns"),
    )
    left = {entry.path for entry in scan(source, exclude=lines) if entry.kind == "file"}
    assert left == set(told.decode().split("\0")[:-1])
    assert left != set(FILES)


def choices(expression: object) -> int:
    """How many things in a parsed expression can be tried in several ways, one after the other.

    With none or one of them, the time that matching takes grows with the length of what is matched
    and that of the expression, and not with a power of either.
    """
    count = 0
    for operation, argument in expression:  # type: ignore[attr-defined]
        if operation in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT):
            _, most, inner = argument
            count += (most > 1) + choices(inner)
        elif operation is opcodes.ATOMIC_GROUP:  # once it has matched, that is settled
            assert choices(argument) <= 1
        elif operation is opcodes.POSSESSIVE_REPEAT:
            assert choices(argument[2]) == 0
        elif operation in (opcodes.SUBPATTERN, opcodes.ASSERT, opcodes.ASSERT_NOT):
            count += choices(argument[-1])
        elif operation is opcodes.BRANCH:
            count += max(map(choices, argument[1]))
    return count


def choices_of(pattern: str, *, straight: bool = True) -> int:
    expression, _ = type(GitIgnoreSpec.from_lines(["any"]).patterns[0]).pattern_to_regex(pattern)
    if expression is None:
        return 0
    # The end that pathspec before 1.0 adds matches whatever is left, newlines, too: one way.
    expression = re.sub(r"\.\*(\)\?)?\$$", r"\1", expression)
    return choices(_parser.parse(straightened(expression) if straight else expression))


@given(patterns())
@example("*a*a*a*ab")
@example("/".join(["**/a"] * 30) + "/b")
@example("/".join(["*?[a-z]*?*"] * 30))
@example("[*]*a*[]*]**a*")
def test_no_pattern_has_two_ways_to_match_the_same(pattern: str) -> None:
    assert choices_of(pattern) <= 1


def test_what_has_many_ways_would_be_seen() -> None:
    assert choices_of("*a*a*a*ab", straight=False) == 5
    assert choices_of("**/a/**/b/**/c", straight=False) == 3


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "*b", "a" * 255),
        ("*?" * 60 + "b", "a" * 255),
        ("**/a/" * 60 + "b", "a/" * 2000 + "c"),
        ("**/*a*a*/" * 20 + "b", "aaaa/" * 800 + "c"),
    ],
    ids=["stars", "question marks", "directories", "both"],
)
def test_a_hostile_pattern_comes_to_an_end(pattern: str, path: str) -> None:
    """Nobody would live to see that if there were as many ways as there seem to be."""
    excluded = excluding([pattern])
    assert excluded is not None
    assert not excluded(path, False)


@pytest.mark.parametrize("pattern", ["[z-a]", "!", "a\\", "[a\\-b]", "[[:punct:]]"])
def test_what_is_no_pattern_is_wrong_usage(pattern: str) -> None:
    with pytest.raises(UsageError, match="invalid exclude pattern "):
        excluding([pattern])

"""Man pages and completion scripts, from the command's parser and the prose of its pages.

    python scripts/reference.py [DIR]     (make reference)

They are kept in the repository, so that packages need nothing to make them; a test has them made
anew, below DIR, and compares.
"""

from __future__ import annotations

import re
import sys
from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterable, Iterator, Sequence
from email.utils import parsedate
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from time import strftime

import shtab
from markdown_it import MarkdownIt
from markdown_it.token import Token

from blockpack import __version__
from blockpack.cli import run
from blockpack.planning.profile import PROFILES

ROOT = Path(__file__).parents[1]
MAN = "man"
COMPLETIONS = "src/blockpack/cli/completions"

FILES = {"A", "B", "DEVICE", "FILE", "FILE.age", "IMAGE", "OTHER", "PATH", "SOURCE"}
DIRECTORIES = {"DIR", "DIST", "REPO", "REPO[@REV]", "ROOT", "ROOT|DIST"}
"""What stands for a value that is a path."""

FUNCTIONS = {
    "bash": """\
_blockpack_files() { compgen -f -- "$1"; }
_blockpack_dirs() { compgen -d -- "$1"; }

# The shell has --option=value as three words, and "=" as one that is begun.
_blockpack() {
  local words=() current=$COMP_CWORD index word
  for index in "${!COMP_WORDS[@]}"; do
    word=${COMP_WORDS[index]}
    if [[ $word = "=" && ${COMP_WORDS[index - 1]} = --* ]]; then
      ((index < COMP_CWORD)) && ((current -= 1))
      ((index == COMP_CWORD)) && words+=("")
    else
      words+=("$word")
    fi
  done
  local COMP_WORDS=("${words[@]}") COMP_CWORD=$current
  _shtab_blockpack
}
""",
    "fish": """\
function _blockpack_files
  set -l value (string replace -r '^--[^=]*=' '' -- (commandline -ct))
  complete -C "__fish_command_without_completions $value"
end
""",
}
"""Functions of ours for what shtab's own do not complete: paths with spaces, values after "="."""

OWN_EQUALS = {
    "bash": (r"(?m)(?<=^complete -o bashdefault -F )_shtab_blockpack\b", "_blockpack"),
    "zsh": (r'(?m)^(  \S*--[\w-]+)(?=}?"?\[.*\]:)', r"\1="),
}
"""What lets a value follow its option after "=": a pattern in the script, what is there instead."""

OWN_FILE = {"bash": "_blockpack_files", "fish": "(_blockpack_files)"}
OWN_DIRECTORY = {"bash": "_blockpack_dirs"}

LEADS_ON = re.compile(r"(^|\s)(Takes|Only for|The examples) .*[:.]$", re.S)
"""What leads to the tables of options, and to the examples of a page."""

MARKDOWN = MarkdownIt("commonmark").enable("table")


def command_parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser, and those of all its commands."""
    parser, _ = run._parser([])
    (commands,) = (each for each in parser._actions if isinstance(each, _SubParsersAction))
    for name, command in commands.choices.items():
        import_module(f"blockpack.cli.{name}").arguments(command)
    return parser, dict(commands.choices)


def actions(parser: ArgumentParser) -> Iterator[Action]:
    """What a parser takes, and those for what it can be asked to do."""
    for action in parser._actions:
        yield action
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from actions(each)


def completion(shell: str) -> str:
    """The script that completes the command's arguments in `shell`."""
    parser, _ = command_parsers()
    for action in actions(parser):
        if action.dest == "profile":
            action.choices = list(PROFILES)
        elif action.metavar in DIRECTORIES:
            action.complete = {**shtab.DIRECTORY, **OWN_DIRECTORY}  # type: ignore[attr-defined]
        elif action.metavar in FILES and action.dest != "path":  # which is one in an image
            action.complete = {**shtab.FILE, **OWN_FILE}  # type: ignore[attr-defined]
    script = shtab.complete(parser, shell, preamble=FUNCTIONS)  # type: ignore[arg-type]
    if shell in OWN_EQUALS:
        script = re.sub(*OWN_EQUALS[shell], script)
    return f"{script.rstrip()}\n"


class ManPage:
    """A man page, as lines of roff; man(7) has the requests."""

    def __init__(self, name: str, summary: str) -> None:
        title = f'.TH {name.upper()} 1 {released()} "blockpack {__version__}" "User commands"'
        self._lines = [title, ".SH NAME", *_wrapped(rf"{name} \- {summary}")]

    def __str__(self) -> str:
        return "\n".join([*self._lines, ""])

    def section(self, title: str, request: str = ".SH") -> None:
        """Begin a section, or with ``.SS`` a part of one."""
        self._lines.append(f"{request} {title}")

    def paragraph(self, text: str) -> None:
        """A paragraph of Markdown."""
        self._lines += [*self._gap(), *_filled(text)]

    def item(self, tag: str, text: str) -> None:
        """A term, and what is said of it; both Markdown."""
        self._lines += [".TP", *_filled(tag), *_filled(text)]

    def example(self, text: str) -> None:
        """Lines as they are."""
        lines = [_line(_escaped(line, r"\-")) for line in text.rstrip().splitlines()]
        self._lines += [*self._gap(), ".RS 4", ".EX", *lines, ".EE", ".RE"]

    def _gap(self) -> list[str]:
        return [] if self._lines[-1].startswith((".SH", ".SS")) else [".PP"]


def released() -> str:
    """The day of the release, in ISO 8601."""
    told = (ROOT / "debian/changelog").read_text("utf-8").partition("\n -- ")[2]
    day = parsedate(told.partition(">  ")[2].splitlines()[0])
    assert day is not None, told
    return strftime("%Y-%m-%d", day)


def _filled(text: str) -> list[str]:
    """Markdown as lines of roff: code is bold, and links are what they say."""
    text = re.sub(r"\[((?:[^][]|\[[^]]*\])*)\]\([^)\s]+\)", r"\1", text)
    told = ""
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)", text):
        if part.startswith(("`", "*")):
            font = "B" if part.startswith(("`", "**")) else "I"
            shown = _escaped(part.strip("`*"), r"\-").replace(" ", r" \%")  # not hyphenated
            told += rf"\f{font}\%{shown}\fR"
        else:
            told += _escaped(part)
    return _wrapped(told)


def _escaped(text: str, dash: str = "-") -> str:
    text = text.replace("\\", r"\e").replace("-", dash)
    return "".join(each if each.isascii() else rf"\[u{ord(each):04X}]" for each in text)


def _wrapped(text: str) -> list[str]:
    lines = wrap(text, 79, break_on_hyphens=False, break_long_words=False)
    return list(map(_line, lines))


def _line(line: str) -> str:
    """A line that is no request."""
    return rf"\&{line}" if line.startswith((".", "'")) else line


def sections(page: str) -> dict[str, list[Token]]:
    """What is under each heading of a page of the documentation, the heading itself left out."""
    found: dict[str, list[Token]] = {}
    tokens = iter(MARKDOWN.parse((ROOT / "docs" / page).read_text("utf-8")))
    for token in tokens:
        if token.type == "heading_open":
            under = found[next(tokens).content] = []
            next(tokens)
        else:
            under.append(token)
    return found


def rows(tokens: Sequence[Token], first: str) -> Iterator[list[str]]:
    """The rows of all tables whose first column is headed `first`."""
    heading: list[str] = []
    cells: list[str] = []
    for before, token in pairwise(tokens):
        if before.type in ("td_open", "th_open"):
            cells.append(token.content)
        elif before.type == "tr_close":
            if token.type == "thead_close":
                heading = cells
            elif heading[0] == first:
                yield cells
            cells = []


def sentence(text: str) -> str:
    """`text` as a sentence."""
    end = "" if text.endswith(".") else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


class Pages:
    """What docs/cli.md and the parsers say of each command."""

    def __init__(self) -> None:
        self.cli = sections("cli.md")
        _, self.parsers = command_parsers()

    def overview(self) -> ManPage:
        """The man page of the command as a whole."""
        page = ManPage("blockpack", "pack a tree of files into a block-device image")
        self._description(page, self.cli["Command line"])
        page.section("COMMANDS")
        for name, summary in run.COMMANDS.items():
            page.item(f"`blockpack-{name}`(1)", sentence(summary))
        page.section("EXIT STATUS")
        for code, _, meaning, _ in rows(sections("exit-codes.md")["Exit codes"], "code"):
            page.item(code, sentence(meaning))
        for title, first in (("Environment", "variable"), ("Files", "file")):
            page.section(title.upper())
            for name, meaning in rows(self.cli[title], first):
                page.item(name, sentence(meaning))
        return page

    def command(self, name: str) -> ManPage:
        """The man page of one command."""
        page = ManPage(f"blockpack-{name}", run.COMMANDS[name])
        told = self.cli[f"blockpack {name}"]
        self._description(page, told)
        page.section("OPTIONS")
        parser = self.parsers[name]
        for group in parser._action_groups:
            options = [action for action in group._group_actions if action.option_strings]
            if group.title != "options" and options:
                page.section(str(group.title), ".SS")
            self._options(page, name, options)
        for action in parser._actions:
            if isinstance(action, _SubParsersAction):
                for each, inner in action.choices.items():
                    page.section(f"{name} {each}", ".SS")
                    self._options(page, name, inner._get_optional_actions())
        page.section("EXAMPLES")
        page.example(import_module(f"blockpack.cli.{name}").EXAMPLE)
        for token in told:
            if token.type == "fence":
                page.example(token.content)
        page.section("EXIT STATUS")
        page.paragraph("0 if all is well; `blockpack`(1) has the others.")
        page.section("SEE ALSO")
        text = " ".join(token.content for token in told)
        near = sorted({*re.findall(r"#blockpack-(\w+)", text)} - {name})
        page.paragraph(", ".join([f"`blockpack-{each}`(1)" for each in near] + ["`blockpack`(1)"]))
        return page

    def _description(self, page: ManPage, tokens: list[Token]) -> None:
        """The synopsis, and paragraphs but what leads to tables of options."""
        synopsis, *others = tokens
        page.section("SYNOPSIS")
        page.example(synopsis.content)
        page.section("DESCRIPTION")
        for before, token in pairwise(others):
            if before.type == "paragraph_open":
                if text := LEADS_ON.sub("", token.content):
                    page.paragraph(text)
            elif token.type == "code_block":
                page.example(token.content)

    def _options(self, page: ManPage, name: str, options: Iterable[Action]) -> None:
        for action in options:
            flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
            value = action.metavar if action.nargs != 0 else None
            values = " ".join(value) if isinstance(value, tuple) else value
            if action.nargs == "?":
                values = f"[{values}]"
            text = sentence(self._meaning(name, action.option_strings[-1]) or str(action.help))
            choices = ", ".join(f"`{each}`" for each in action.choices or ())
            page.item(
                f"{flags} *{values}*" if values else flags,
                f"{text} One of {choices}." if choices else text,
            )

    def _meaning(self, name: str, flag: str) -> str:
        """What a flag of a command does; where that is as for another command, what is there."""
        tables = [*self.cli[f"blockpack {name}"], *self.cli["Volume options"]]
        for shown, *default, told in rows(tables, "option"):
            if re.search(rf"`{flag}[` ]", shown):
                other = re.match(r"as (?:for )?\[?`(\w+)`(?:\]\([^)]+\))?(?:; )?", told)
                if other:
                    same = sentence(self._meaning(other[1], flag))
                    return f"{same} {sentence(rest)}" if (rest := told[other.end() :]) else same
                value = f" The default is {default[0]}." if default and default[0] else ""
                return f"{sentence(told)}{value}"
        return ""


def main(directory: Path) -> None:
    """Write all of them below `directory`."""
    pages = Pages()
    files = {f"{MAN}/blockpack.1": str(pages.overview())}
    for name in run.COMMANDS:
        files[f"{MAN}/blockpack-{name}.1"] = str(pages.command(name))
    for shell in ("bash", "fish", "zsh"):
        files[f"{COMPLETIONS}/blockpack.{shell}"] = completion(shell)
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT)

"""``blockpack completion``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib.resources import files

from . import flags
from .output import emit

EXAMPLE = "blockpack completion bash"


def arguments(parser: ArgumentParser) -> None:
    shells = ("bash", "zsh", "fish")
    flags.value(parser, "shell", "SHELL", ", ".join(shells), choices=shells)


def run(arguments: Namespace) -> int:
    script = files(__package__).joinpath(f"completions/blockpack.{arguments.shell}")
    emit(script.read_text("utf-8").rstrip())
    return 0

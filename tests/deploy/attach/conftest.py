"""What the tests of attaching share: the command in this process."""

from __future__ import annotations

from cli.conftest import clean_environment, fixture_command

__all__ = ["clean_environment", "fixture_command"]

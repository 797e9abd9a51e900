"""The runner of programs lets no failure pass, and skips none of them on CI."""

from __future__ import annotations

import pytest

from judges import programs


def test_a_missing_program_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda _program: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install dosfstools"):
        programs.require("fsck.fat")


def test_a_missing_program_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda _program: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="which CI does not allow"):
        programs.require("fsck.fat")


def test_a_missing_module_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MODULES", {"no.such.module": "nothing"})
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="pip install nothing"):
        programs.require_module("no.such.module")


def test_a_failing_program_is_a_failed_assertion() -> None:
    with pytest.raises(AssertionError, match="exited with 1"):
        programs.run("busybox", ["false"])


def test_a_hanging_program_is_a_failed_assertion() -> None:
    with pytest.raises(AssertionError, match="did not end"):
        programs.run("busybox", ["sleep", "5"], timeout=0.1)


def test_a_word_on_standard_error_is_a_failed_assertion() -> None:
    with pytest.raises(AssertionError, match="complained"):
        programs.run_silent("busybox", ["sh", "-c", "echo oh >&2"])


def test_the_locale_and_time_zone_are_fixed() -> None:
    output = programs.run_silent("busybox", ["sh", "-c", "echo $LC_ALL $TZ"])
    assert output == b"C.UTF-8 UTC\n"

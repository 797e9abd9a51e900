"""What is printed as JSON, held against the schema that is installed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


@cache
def schema() -> dict[str, Any]:
    """The schema as it is installed."""
    text = files("blockpack").joinpath("cli/schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def strict(part: Any) -> Any:
    """The schema without room for keys of later versions."""
    if isinstance(part, list):
        return list(map(strict, part))
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if "properties" in part else {}
    return {**{name: strict(each) for name, each in part.items()}, **closed}


@cache
def _validator(definition: str) -> Draft202012Validator:
    return Draft202012Validator({**strict(schema()), "$ref": f"#/$defs/{definition}"})


def require_valid(definition: str, value: Any) -> None:
    """Assert that a value is as a definition of the schema says, and has no other keys."""
    errors = [
        f"{error.json_path}: {error.message}" for error in _validator(definition).iter_errors(value)
    ]
    assert not errors, (definition, errors, value)


def require_valid_output(arguments: Sequence[object], out: bytes) -> None:
    """The same of what a command printed, if that was JSON of its own."""
    words = list(map(str, arguments))
    if "--json" in words and out:
        require_valid(words[0], json.loads(out))

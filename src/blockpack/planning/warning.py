"""What a user should hear of a layout, though the image can be written."""

from __future__ import annotations

from attrs import frozen

from ..errors import printable


@frozen
class LayoutWarning:
    """A warning: the entry's `path` (empty for the image as a whole), a `code` that scripts can
    rely on (docs/json.md lists them), and the `text`.
    """

    path: str
    code: str
    text: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.text}" if self.path else self.text)

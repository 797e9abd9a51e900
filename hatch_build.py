"""What hatchling asks while it builds: the description that package indexes show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^]]+)\]\((?!https?:|#)([^)\s]+)\)")


def description(readme: str, address: str) -> str:
    """`readme` with links that also lead somewhere on another site's page.

    Links to files of the repository become absolute, below `address`; without one they become
    what they say.
    """
    return _LINK.sub(rf"[\1]({address}\2)" if address else r"\1", readme)


class DescriptionHook(MetadataHookInterface):
    """The description is README.md, and the project's address is told once, in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def get_known_classifiers(self) -> list[str]:
        """Classifiers that are newer than the hatchling of Debian 12."""
        return [f"Programming Language :: Python :: 3.{minor}" for minor in (12, 13, 14)]

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``project.readme``, and ``project.urls`` if the project has an address."""
        address = self.config["address"]
        if address and not address.endswith("/"):
            raise ValueError("tool.hatch.metadata.hooks.custom.address must end with a slash")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": description(readme, address),
        }
        if address:
            metadata["urls"] = {
                "Source": address,
                "Documentation": f"{address}docs/index.md",
                "Changelog": f"{address}CHANGELOG.md",
            }

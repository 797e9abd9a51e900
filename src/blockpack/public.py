"""Public names that are imported when they are first used: build hooks start blockpack often. What
public functions are given is checked.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import, and `--version` needs none of it

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def public(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` (PEP 562) of `package`; `homes` has the names that are
    public by the module, below that package, which they are in.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import sys
        from importlib import import_module
        from types import FunctionType

        from .arguments import checked

        module = import_module(f".{home[name]}", package)
        if isinstance(found := getattr(module, name), FunctionType):
            found = checked(found)
            setattr(module, name, found)  # where `pickle` looks for it
        setattr(sys.modules[package], name, found)
        return found

    return get, lambda: sorted(home)

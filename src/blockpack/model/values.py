"""How values are made of which there may be millions: entries and extents.

attrs makes frozen values by a call for each field, which takes four times as long as filling plain
slots: a tenth of the time that packing small files takes. So a value is filled as a plain twin with
the same slots, and then becomes what it is. Nobody who holds it can change it.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from attrs import frozen as numerous
else:
    from attrs import NOTHING, Factory, fields, frozen

    def numerous(cls=None, **options):
        """As `attrs.frozen`, for values of which there are many."""
        if cls is None:
            return lambda cls: numerous(cls, **options)
        value = frozen(cls, init=False, weakref_slot=False, **options)
        names = [field.name for field in fields(value)]

        def reduced(self):
            return type(self), tuple([getattr(self, name) for name in names])

        twin = type(cls.__name__, (), {"__slots__": names})
        value.__new__ = _filling(twin, value)
        value.__reduce__ = reduced
        return value

    def _filling(twin, value):
        """The ``__new__`` of `value`: one function without calls, as attrs writes an ``__init__``.

        A default that is made is made of the value, filled up to there.
        """
        scope = {"twin": twin}
        parameters, lines = ["cls"], ["made = twin()"]
        for field in fields(value):
            name, default = field.name, f"default_{field.name}"
            parameters.append(name)
            lines.append(f"made.{name} = {name}")
            if field.default is not NOTHING:
                parameters[-1] += f"={default}"
                scope[default] = field.default
            if isinstance(field.default, Factory):
                lines[-1] += f" if {name} is not {default} else {default}.factory(made)"
        body = "\n    ".join([*lines, "made.__class__ = cls", "return made"])
        exec(f"def __new__({', '.join(parameters)}):\n    {body}", scope)
        new = scope["__new__"]
        new.__annotations__ = value.__annotations__  # what help() shows
        return new


def shortened(value: object) -> str:
    """How a value is shown that may be of any length."""
    shown = repr(value[:32] if isinstance(value, bytes) else value)
    return f"{shown}…" if isinstance(value, bytes) and len(value) > 32 else shown


__all__ = ["numerous", "shortened"]

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
    from attrs import define, fields, frozen

    def numerous(cls=None, **options):
        """As `attrs.frozen`, for values of which there are many."""
        if cls is None:
            return lambda cls: numerous(cls, **options)
        twin = define(cls, weakref_slot=False, **options)
        value = frozen(cls, weakref_slot=False, **options)

        def new(cls, *args, **named):
            made = twin(*args, **named)
            made.__class__ = cls
            return made

        def reduced(self):
            return type(self), tuple([getattr(self, name) for name in names])

        new.__wrapped__ = twin.__init__  # what help() shows
        names = [field.name for field in fields(value)]
        value.__new__ = new
        value.__init__ = object.__init__
        value.__reduce__ = reduced
        return value


__all__ = ["numerous"]

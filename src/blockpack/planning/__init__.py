"""The plan: `layout` is the whole image before a byte of it is written, `volume` what makes one.

`profile` has readers' limits as data, `options` how options are written; `layout_reader` reads a
layout as if it had been written.
"""

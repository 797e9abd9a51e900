"""The tar format: POSIX ustar with pax extended headers, or GNU's dialect.

`header` and `pax` are the format's structures, `members` encodes entries, `padding` aligns them,
`volume` plans and `reader` reads.
"""

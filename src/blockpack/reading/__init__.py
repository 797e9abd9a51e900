"""Reading: `extents` what extents refer to, noticing change; `positional` at any position; `window`
small pieces in order; `spool` keeps what is read once; `inflate` has checksums, too.
"""

"""Reading: `extents` what extents refer to, noticing change; `positional` at any position; `spool`
keeps what is read once."""

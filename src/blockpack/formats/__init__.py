"""Formats: one folder each, with structures, volume and reader; `registry` has a row for each."""

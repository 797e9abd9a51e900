"""Tests of the judges: each accepts what well-known programs write, and can say no."""

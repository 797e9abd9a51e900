"""Forked processes: `processors` decides how many may work, `sharing` at what, `pool` has them
work and report.
"""

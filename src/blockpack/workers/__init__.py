"""Forked processes: `processors` decides how many may work, `pool` has them work and report."""

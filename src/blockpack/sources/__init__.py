"""Sources: what trees come from. `scan` is the one door, `registry` has a row for each kind."""

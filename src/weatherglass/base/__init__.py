"""What every room shares and that does no I/O: errors, identifiers, units, time."""

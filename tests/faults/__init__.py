"""Faults for real: kill -9, full disks, stepped clocks, hostile input, power cuts; against real processes."""

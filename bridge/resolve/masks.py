"""Masks with the same meaning for every variable: bit 0 is "absent", bit i+1 the i-th candidate, best first."""

__all__ = ["ABSENT", "ON", "PRESENT"]

ABSENT = 1
PRESENT = -2  # every bit except "absent", for any number of candidates
ON = 2  # the single candidate of an extra

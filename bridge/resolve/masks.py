"""The masks that mean the same for every variable: bit 0 is "absent", bit i+1 the i-th candidate, best first."""

__all__ = ["ABSENT", "ON", "PRESENT"]

ABSENT = 1
PRESENT = -2  # every bit but "absent", of however many candidates
ON = 2  # the one candidate of an extra

"""Locks: what a solve for several platforms chose, written in the formats of other tools."""

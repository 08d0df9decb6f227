"""Mutation testing: small faults put into the code on purpose, and whether the tests that run the line notice.

The operators are those of cosmic-ray. Its runner starts the whole suite for each mutant; this one forks from a process
that has collected the tests, and runs those that cover the mutated line (coverage.py, dynamic contexts).
"""

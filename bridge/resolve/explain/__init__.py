"""Why there is no solution, in words that a person can act on."""

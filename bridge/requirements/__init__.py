"""Requirements: MatchSpecs and PEP 508, each with its own version order, and the files that hold them."""

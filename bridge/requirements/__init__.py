"""What somebody asks: MatchSpecs and PEP 508, each judged by its own order, and the files that hold them."""

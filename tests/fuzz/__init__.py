"""Mutated input for every reader of text and archives that strangers write: only documented errors may come out."""

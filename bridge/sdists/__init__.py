"""Source distributions: their static metadata, and building wheels from them in a sandbox."""

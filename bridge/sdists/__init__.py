"""Source distributions: what they say unbuilt, and the wheels that are built of them in a sandbox."""

"""Pages and artifacts of indexes and channels: `client` is the entry, `http` the only module on the network."""

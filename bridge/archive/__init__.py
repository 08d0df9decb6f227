"""Archives validated before anything is unpacked: zip, tar, zstd; wheels, sdists and conda packages."""

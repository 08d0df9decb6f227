"""Fault injection: a preload shim that counts mutating calls below a directory and makes one of them fail, or kills."""

"""What each command does, on the ports of a session. Nothing here prints.

`bridge.cli` imports the module of a command when the command runs: `bridge list` starts without a solver.
"""

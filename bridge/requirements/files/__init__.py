"""Readers of requirements.txt, environment.yml, pyproject.toml, pylock.toml and explicit lists.

`reading.read` returns `FileRequirements`, with texts parsed by `requirements.algebra`. A file that cannot be used is a
`UsageError` (`requirement-file`) that names the file, the line or field, and what was expected.
"""

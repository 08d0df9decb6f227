"""requirements.txt, environment.yml, pyproject.toml, pylock.toml and explicit lists; requirements that are paths.

What a file says becomes `FileRequirements`, its texts parsed by `requirements.algebra`. A file that cannot be used is
one `UsageError` (`requirement-file`) that names the file, the line or the field, and what was expected there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.requirements.files.local import local_requirement, url_requirement
    from bridge.requirements.files.reading import read
    from bridge.requirements.files.values import FileRequirements

__all__ = ["FileRequirements", "local_requirement", "read", "url_requirement"]

_PLACES = {
    "FileRequirements": ".values",
    "local_requirement": ".local",
    "read": ".reading",
    "url_requirement": ".local",
}

__getattr__ = lazily(__name__, _PLACES)

"""What people type who know conda, mamba, pixi, pip or uv: other names of commands and options, and answers to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["ALIASES", "answer_to_arguments", "answer_to_command", "answer_to_option", "answer_to_words"]

ALIASES = {
    "add": "install",
    "i": "install",
    "ls": "list",
    "rm": "remove",
    "uninstall": "remove",
    "up": "update",
    "upgrade": "update",
}
"""Other names of commands, which do the same."""

_UPLOAD = (
    "bridge convert and bridge index make a channel: copy it to a server, or give its packages to "
    "`rattler-build upload` or `anaconda upload`"
)

# A word that is no command -> (the command that does it, how it is typed or why not).
_COMMANDS = {
    "auth": ("info", "credentials are read from URLs, netrc, the keyring and the files of conda, mamba and pixi"),
    "build": ("convert", "bridge convert DIR -o CHANNEL"),
    "check": ("audit", "bridge audit"),
    "clean": ("cache", "bridge cache --prune"),
    "clone": ("create", "bridge create -n NEW -r LOCK_OR_LIST"),
    "compare": ("diff", "bridge diff A B"),
    "compile": ("lock", "bridge lock -r FILE"),
    "debug": ("info", "bridge info"),
    "depends": ("tree", "bridge tree NAME"),
    "doctor": ("audit", "bridge audit"),
    "download": ("fetch", "bridge fetch LOCK -o DIR"),
    "exec": ("run", "bridge run -n NAME COMMAND"),
    "freeze": ("export", "bridge export --format requirements"),
    "format": ("", "bridge formats no code: bridge run COMMAND runs a tool of the environment"),
    "global": ("create", "bridge create -n TOOL REQ, then bridge run -n TOOL COMMAND"),
    "hash": ("lock", "bridge lock writes the hashes of packages"),
    "help": ("", "bridge --help, or bridge COMMAND --help"),
    "hook": ("activate", 'eval "$(bridge activate -n NAME)"'),
    "import": ("create", "bridge create -r FILE reads the files of other tools"),
    "init": (
        "activate",
        'bridge needs no set-up: eval "$(bridge activate -n NAME)" enters an environment; -r FILE reads a project',
    ),
    "inspect": ("list", "bridge list --json"),
    "login": ("info", "credentials are read from URLs, netrc, the keyring and the files of conda, mamba and pixi"),
    "notices": ("search", "bridge shows no notices of channels"),
    "package": ("convert", "bridge convert WHEEL -o DIR"),
    "pack": ("lock", "bridge lock, then bridge fetch LOCK -o DIR"),
    "pip": ("install", "bridge takes pip's requirements itself: leave `pip` out"),
    "project": ("install", "edit pixi.toml or pyproject.toml, then: bridge install -r FILE"),
    "prune": ("cache", "bridge cache --prune"),
    "publish": ("convert", _UPLOAD),
    "python": ("install", "python is a package: bridge install python=3.12"),
    "reinstall": ("audit", "bridge audit --fix reinstalls what is damaged"),
    "rename": ("create", "bridge create -n NEW --clone NAME, then bridge env remove NAME"),
    "repoquery": ("search", "bridge search NAME, bridge tree NAME, bridge tree --invert NAME"),
    "revisions": ("history", "bridge history"),
    "self-update": ("self", "bridge self update names the command that updates it"),
    "shell-hook": ("activate", "bridge activate"),
    "show": ("why", "bridge why NAME (from where and for whom), bridge tree NAME (what it requires)"),
    "skeleton": ("convert", "bridge convert REQ -o DIR makes the package itself"),
    "task": ("run", "bridge run COMMAND"),
    "tool": ("run", "bridge create -n TOOL REQ, then bridge run -n TOOL COMMAND"),
    "tos": ("info", "bridge asks for no terms; channels are set with -c or in the configuration"),
    "upload": ("convert", _UPLOAD),
    "venv": ("create", "bridge create -p .venv python"),
    "version": ("", "bridge --version"),
    "versions": ("search", "bridge search NAME"),
    "virtualenv": ("create", "bridge create -p .venv python"),
    "wheel": ("convert", "bridge convert REQ -o DIR"),
    "whoneeds": ("tree", "bridge tree --invert NAME"),
    "workspace": ("install", "edit pixi.toml or pyproject.toml, then: bridge install -r FILE"),
    "x": ("run", "bridge run COMMAND"),
}
# Commands of pip and uv that mean something else here.
_OF_PIP = {
    "compile": "bridge lock -r FILE -o requirements.txt",
    "config": "bridge config list",
    "index": "bridge search NAME",
    "sync": "bridge sync LOCK, or bridge lock -r FILE first",
}
# (command, words after it, or () for any) -> the answer.
_ARGUMENTS: tuple[tuple[str, frozenset[str], str], ...] = (
    ("cache", frozenset({"dir", "info", "list", "size"}), "bridge cache shows where the caches are and how large"),
    ("cache", frozenset(), "bridge cache --prune removes what is old; with --older-than 0d, everything"),
    ("index", frozenset({"versions"}), "bridge search NAME shows the versions of channels and indexes"),
    ("shell", frozenset({"hook", "init", "activate"}), 'eval "$(bridge activate -n NAME)"; nothing has to be set up'),
    ("env", frozenset({"config"}), "write `variables:` into an environment.yml, or use conda env config vars set"),
)
_CHANGES = ("create", "install", "remove", "update")
_WHOLE = "packages are always installed with what they require"
_OWN = "-p DIR or -n NAME names the environment, which bridge then owns"
# (commands, or () for all; options) -> the answer.
_OPTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (_CHANGES, ("--no-deps", "--only-deps"), _WHOLE),
    (_CHANGES, ("--user", "--target", "-t", "--root", "--system", "--break-system-packages"), _OWN),
    (
        _CHANGES,
        ("--force-reinstall", "--reinstall", "--ignore-installed", "-I"),
        "bridge audit --fix reinstalls what is damaged",
    ),
    (
        _CHANGES,
        ("--no-cache-dir", "--no-cache", "--refresh"),
        "bridge cache --prune --older-than 0d empties the caches",
    ),
    (
        _CHANGES,
        ("--constraint", "--constraints", "--override"),
        "write `-c FILE` into a requirements.txt, and give that with -r",
    ),
    (_CHANGES, ("--python", "--python-version"), "python is a package: ask for python=3.12"),
    (_CHANGES, ("--strict-channel-priority",), "--channel-priority strict, the default"),
    (_CHANGES, ("--no-channel-priority",), "--channel-priority flexible"),
    (_CHANGES, ("--use-local",), "-c local"),
    (_CHANGES, ("--no-pin",), "bridge pin --remove NAME"),
    (
        _CHANGES,
        ("--freeze-installed", "--no-update-deps", "--satisfied-skip-solve", "-S"),
        "this is the default: what is installed stays if it can",
    ),
    (
        _CHANGES,
        ("--update-deps", "--update-all", "--upgrade-strategy"),
        "bridge update [NAME] updates packages, or all of them",
    ),
    (
        _CHANGES,
        ("--solver", "--copy", "--override-channels-enabled", "--experimental"),
        "there is one solver, and bridge chooses how files are placed",
    ),
    (_CHANGES, ("--subdir",), "--platform SUBDIR"),
    (_CHANGES, ("--insecure", "-k", "--trusted-host"), "BRIDGE_TRUSTED_HOST=HOST, or conda's or pip's configuration"),
    (_CHANGES, ("--no-binary",), "write `--no-binary NAME` into a requirements.txt, and give that with -r"),
    (_CHANGES, ("--only-binary",), "--no-build"),
    (_CHANGES, ("--no-build-isolation",), "builds run in a sandbox of their own"),
    (_CHANGES, ("--pypi",), "write pypi:NAME"),
    (
        _CHANGES,
        ("--feature", "--dev", "--optional"),
        "edit the project's file, then: bridge install -r pyproject.toml --group NAME",
    ),
    (_CHANGES, ("--no-lockfile-update", "--frozen", "--locked"), "bridge sync LOCK installs exactly what a lock says"),
    (_CHANGES, ("-f",), "-r FILE reads a file of requirements; --find-links DIR names a directory of wheels"),
    (_CHANGES, ("-i",), "--index-url URL"),
    (_CHANGES, ("--download-only", "-d"), "--dry-run shows the plan"),
    (("remove",), ("--all", "-a"), "bridge env remove removes a whole environment"),
    (("remove",), ("--force", "--force-remove"), _WHOLE),
    (
        ("install", "update"),
        ("--revision", "--rev"),
        "bridge rollback N; bridge history shows them",
    ),
    (("update", "install"), ("--prune",), "bridge lock -r FILE, then bridge sync removes what the file does not need"),
    (("info",), ("--envs", "-e"), "bridge env list"),
    (("info",), ("--all", "-a", "--system", "-s"), "bridge info shows everything"),
    (("export",), ("--no-builds", "--ignore-channels"), "bridge export --from-history writes what was asked for"),
    (("completion",), ("--shell", "-s"), "bridge completion bash"),
    (
        ("shell",),
        ("--shell", "-s"),
        "bridge shell starts this shell; bridge activate --shell NAME serves another",
    ),
    (
        ("adopt", "diff", "fetch", "list", "remove", "rollback", "sync", "tree", "why"),
        ("--pre", "--prefer", "--only", "--exclude-newer", "--patience"),
        "this command solves nothing: bridge install, update, resolve and lock have this option",
    ),
    (("convert", "index", "mirror"), ("--to", "--upload", "--publish"), _UPLOAD),
    (("convert", "mirror"), ("--output-dir", "--output-folder", "--out-dir", "--out", "-O"), "-o DIR"),
    (("convert", "mirror"), ("--out-format", "--out-fmt", "--package-format"), "--format conda|tar.bz2"),
    (("convert", "mirror"), ("--compression-level", "--zstd-compression-level"), "--compression LEVEL"),
    (("convert", "mirror"), ("--workers", "--processes", "--threads", "--parallel"), "-j N"),
    (("convert", "mirror"), ("--add-pip",), "pip is a package: --add-dependency pip"),
    (("list",), ("--outdated", "-o", "--uptodate"), "bridge outdated"),
    (("list",), ("--export", "-e", "--explicit", "--md5", "--sha256"), "bridge export"),
    (("list",), ("--revisions", "-r"), "bridge history"),
    (("list",), ("--not-required", "--tree"), "bridge tree"),
    (("list",), ("--format", "--columns"), "--json; or bridge export --format requirements"),
    (("list",), ("--full-name", "-f"), "a regular expression: bridge list '^NAME$'"),
    (("list",), ("--editable",), "bridge list shows where each package came from"),
    (("search",), ("--info", "-i"), "--json"),
    (("config",), ("--show", "--show-sources", "--list", "--describe"), "bridge config list, or bridge info"),
    (("config",), ("--get",), "bridge config get KEY"),
    (("config",), ("--set",), "bridge config set KEY VALUE"),
    (("config",), ("--add", "--append", "--prepend"), "bridge config set --add KEY VALUE"),
    (("config",), ("--remove", "--remove-key", "--unset"), "bridge config unset KEY"),
    (("config",), ("--validate",), "bridge config list reads every file and tells what is wrong"),
    (("config",), ("--edit", "-e"), "bridge config edit"),
    (("run",), ("--with", "--from"), "bridge create -n NAME REQ, then bridge run -n NAME COMMAND"),
    ((), ("--root-prefix",), "MAMBA_ROOT_PREFIX or CONDA_ROOT names conda's directory"),
    ((), ("--debug", "--log-level", "--trace"), "BRIDGE_DEBUG=1 shows where an error arose; -v prints more"),
)


def answer_to_command(word: str, known: Collection[str]) -> str | None:
    """What does the thing that a word of another tool's names; `None` if nothing is known.

    :param known: the commands that there are.
    """
    command, text = _COMMANDS.get(word.lower(), ("", ""))
    if not text or (command and command not in known):
        return None
    return text


def answer_to_arguments(command: str, words: Collection[str]) -> str | None:
    """What takes the place of words after a command that does not take them."""
    for known, those, text in _ARGUMENTS:
        if known == command and (not those or not those.isdisjoint(words)):
            return text
    return None


def answer_to_words(words: Sequence[str], known: Collection[str]) -> str:
    """What `pip WORD…` or `env WORD…` of another tool is here."""
    word = ALIASES.get(words[0], words[0])
    if (answer := _OF_PIP.get(word) or (None if word in known else answer_to_command(word, known))) is not None:
        return answer
    return f"bridge {' '.join(words)}"


def answer_to_option(command: str, option: str, known: Collection[str]) -> str | None:
    """What takes the place of another tool's option; `None` if nothing is known."""
    name = ALIASES.get(command, command)
    for commands, options, text in _OPTIONS:
        words = text.split()
        is_known = words[0] != "bridge" or words[1] in known
        if option in options and (not commands or name in commands) and is_known:
            return text
    return None

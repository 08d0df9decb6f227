"""Examples in the help of each command; a test parses them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "bridge create -n lab python=3.12 numpy 'torch>=2'",
        "bridge run -n lab python -c 'import torch'",
        "bridge install -n lab -r requirements.txt",
    ),
    "activate": ('eval "$(bridge activate -n lab)"', "bridge activate -n lab --shell fish | source"),
    "adopt": ("bridge adopt -n lab", "bridge adopt -n lab requests --dry-run"),
    "audit": (
        "bridge audit -n lab",
        "bridge audit -n lab --fix --dry-run",
        "bridge audit -n lab numpy --json",
        "bridge audit -n lab --vulnerabilities --fail-on warning",
    ),
    "cache": ("bridge cache", "bridge cache --prune --older-than 7d"),
    "completion": (
        'eval "$(bridge completion bash)"',
        "bridge completion fish | source",
    ),
    "config": ("bridge config list", "bridge config set channels conda-forge bioconda", "bridge config get index-url"),
    "config edit": ("bridge config edit", "EDITOR=nano bridge config edit --project"),
    "config get": ("bridge config get channels",),
    "config list": ("bridge config list", "bridge config list -v"),
    "config path": ("bridge config path", "bridge config path --json"),
    "config schema": ("bridge config schema > config.schema.json",),
    "config set": (
        "bridge config set exclude-newer 7d",
        "bridge config set --add channels bioconda",
        "bridge config set --project index torch=https://packages.example.com/simple",
    ),
    "config unset": ("bridge config unset exclude-newer", "bridge config unset channels bioconda"),
    "convert": (
        "bridge convert dist/demo-1.0-py3-none-any.whl -o channel --index",
        "bridge convert 'rich>=13' --with-deps -o channel --index",
        "bridge convert ./project -o channel",
    ),
    "create": (
        "bridge create -n lab python=3.12 numpy 'torch>=2'",
        "bridge create -p ./env -r environment.yml",
        "bridge create -n copy --clone lab",
    ),
    "deactivate": ('eval "$(bridge deactivate)"',),
    "diff": ("bridge diff lab ./env", "bridge diff ./env bridge.lock"),
    "env": ("bridge env list", "bridge env remove -n lab"),
    "env list": ("bridge env list",),
    "env remove": ("bridge env remove -n lab", "bridge env remove -p ./env --yes"),
    "export": (
        "bridge export -n lab > environment.yml",
        "bridge export -n lab --from-history",
        "bridge export -n lab -o pylock.toml",
    ),
    "fetch": ("bridge fetch bridge.lock -o archives", "bridge sync -p ./env --offline --from archives"),
    "history": ("bridge history -n lab",),
    "index": ("bridge index channel", "bridge index channel --keep 3 --dry-run"),
    "info": ("bridge info", "bridge info --json"),
    "install": (
        "bridge install -n lab pandas 'scikit-learn >=1.5'",
        "bridge install -n lab -r requirements.txt --dry-run",
        "bridge install -n lab pypi:rich conda:zlib",
        "bridge install -n lab -e ./project",
    ),
    "list": ("bridge list -n lab", "bridge list -n lab '^py' --json"),
    "lock": (
        "bridge lock -r pyproject.toml",
        "bridge lock numpy 'torch>=2' --platform linux-64 --platform osx-arm64",
        "bridge lock --upgrade numpy",
        "bridge lock --check",
    ),
    "mirror": ("bridge mirror -r requirements.txt -o channel", "bridge mirror rich httpx -o channel --newest 3"),
    "outdated": ("bridge outdated -n lab",),
    "owner": ("bridge owner -n lab bin/python", "bridge owner -p ./env lib/python3.12/site-packages/numpy/version.py"),
    "pin": ("bridge pin -n lab", "bridge pin -n lab 'numpy 1.26.*'", "bridge pin -n lab --remove numpy"),
    "policy": ("bridge policy check -n lab",),
    "policy check": ("bridge policy check bridge.lock", "bridge policy check -n lab --policy bridge-policy.toml"),
    "recover": ("bridge recover -n lab",),
    "remove": ("bridge remove -n lab pandas", "bridge remove -n lab pandas --dry-run"),
    "resolve": (
        "bridge resolve python=3.12 'torch>=2' --json",
        "bridge resolve -r environment.yml --platform osx-arm64",
        "bridge resolve 'torch>=2' --record solve.json",
    ),
    "rollback": ("bridge rollback -n lab", "bridge rollback -n lab 3 --dry-run"),
    "run": ("bridge run -n lab python script.py", "bridge run -n lab --cwd /tmp pytest -q"),
    "schema": ("bridge schema list", "bridge schema audit > audit.schema.json"),
    "search": ("bridge search numpy", "bridge search 'numpy >=2' -n lab", "bridge search '*torch*'"),
    "self": ("bridge self check",),
    "self check": ("bridge self check", "bridge self check --json"),
    "shell": ("bridge shell -n lab", "bridge shell -n lab --shell zsh"),
    "sync": ("bridge sync -p ./env", "bridge sync -n lab pylock.toml --extra test", "bridge sync -n lab --keep"),
    "tree": ("bridge tree -n lab", "bridge tree -n lab pandas --depth 2", "bridge tree -n lab --invert numpy"),
    "update": ("bridge update -n lab", "bridge update -n lab numpy --dry-run"),
    "why": ("bridge why -n lab numpy",),
}

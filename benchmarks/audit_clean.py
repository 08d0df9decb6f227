"""False alarms: sound environments of popular packages, which must have no finding of level error.

    python benchmarks/audit_clean.py [--tools uv,pip,bridge] [--groups 6] [--json] [PREFIX…]

Makes one environment for each group of popular packages and each tool, from the index that pip is configured to use,
and audits it. A package that has no wheel here is left out. With PREFIX only these environments are audited. For
`uv` it needs uv beside this python or on PATH.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = """
boto3 requests setuptools cryptography fsspec pandas pydantic sqlalchemy greenlet pillow lxml scipy
pyarrow jinja2 click pytest openpyxl beautifulsoup4 aiohttp google-auth virtualenv docutils
jsonschema pygments tqdm psutil protobuf

flask grpcio azure-core msal paramiko bcrypt httpx rich ipython matplotlib scikit-learn networkx
sympy nltk regex tabulate gitpython werkzeug msgpack tomlkit more-itertools prompt-toolkit fonttools
threadpoolctl

google-cloud-storage docker psycopg2-binary redis marshmallow uvicorn fastapi uvloop httptools
watchfiles orjson ujson black mypy ruff flake8 pylint coverage pytest-cov pytest-xdist hypothesis
tox nodeenv pre-commit email-validator

sphinx sphinx-rtd-theme mkdocs mkdocs-material watchdog jupyterlab notebook nbconvert debugpy pyzmq
tornado bleach ipywidgets argon2-cffi prometheus-client terminado jupyter-server

django djangorestframework celery gunicorn gevent twisted scrapy pymongo peewee alembic asyncpg
psycopg pymysql elasticsearch kafka-python pika stripe twilio slack-sdk tweepy

seaborn plotly bokeh shapely pyproj h5py xarray dask zarr numba polars duckdb numexpr
opencv-python-headless scikit-image spacy gensim tokenizers sentencepiece tiktoken openai xgboost
lightgbm statsmodels pywavelets
"""
GROUPS = [group.split() for group in NAMES.split("\n\n")]


def run(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def made(tool: str, names: list[str], root: Path) -> int:
    """Make an environment; how many of the packages that were asked for are in it."""
    if tool == "bridge":
        words = [sys.executable, "-m", "bridge", "create", "-q", "-p", str(root), "-c", "host", "--no-build", "python"]
        if run([*words, *names]):
            return len(names)
        run(words)
        install = [sys.executable, "-m", "bridge", "install", "-q", "-p", str(root), "-c", "host", "--no-build"]
        return sum(run([*install, name]) for name in names)
    run([sys.executable, "-m", "venv", *(["--without-pip"] if tool == "uv" else []), str(root)])
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    words = [str(root / "bin/python"), "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    words = [uv, "pip", "install", "-q", "--no-build", "-p", str(root)] if tool == "uv" else words
    return len(names) if run([*words, *names]) else sum(run([*words, name]) for name in names)


def audited(root: Path) -> dict[str, object]:
    words = [sys.executable, "-m", "bridge", "audit", "-p", str(root), "--json", "--rehash", "--fail-on", "never"]
    found: dict[str, object] = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefixes", nargs="*", type=Path)
    parser.add_argument("--tools", default="uv,pip,bridge")
    parser.add_argument("--groups", type=int, default=len(GROUPS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    documents = [audited(prefix) for prefix in asked.prefixes]
    with tempfile.TemporaryDirectory(prefix="bridge-clean-") as folder:
        for tool in asked.tools.split(",") if not asked.prefixes else ():
            for number, group in enumerate(GROUPS[: asked.groups]):
                root = Path(folder, f"{tool}{number}")
                count = made(tool, group, root)
                documents.append(audited(root))
                shutil.rmtree(root)
                print(f"{tool} {number}: {count} of {len(group)} asked for", file=sys.stderr, flush=True)
    kinds: collections.Counter[str] = collections.Counter()
    packages = 0
    for document in documents:
        packages += sum(document["summary"]["packages"].values())  # type: ignore[index]
        for finding in document["findings"]:  # type: ignore[attr-defined]
            kinds[f"{finding['level']} {finding['id']}"] += 1
            if finding["level"] == "error":
                print(
                    f"{document['prefix']}: {finding['id']} {finding['path']}: {finding['evidence']}", file=sys.stderr
                )
    errors = sum(count for kind, count in kinds.items() if kind.startswith("error"))
    result = {
        "environments": len(documents),
        "packages": packages,
        "errors": errors,
        "findings": dict(kinds.most_common()),
    }
    print(json.dumps(result, indent=2) if asked.json else "\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

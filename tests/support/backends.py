"""What the PEP 517 backends of tests have in common: text of a module that writes a pure wheel with no library."""

from __future__ import annotations

__all__ = ["WRITER"]

# `metadata(name, version)` reads the requirements from `requires.txt`; `write_wheel` returns the wheel's file name.
WRITER = """
import base64, hashlib, os, pathlib, zipfile

def metadata(name, version):
    lines = pathlib.Path("requires.txt").read_text().splitlines()
    requires = "".join(f"Requires-Dist: {line}\\n" for line in lines)
    return f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n" + requires

def write_wheel(directory, name, version, files):
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = metadata(name, version)
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}\\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\\n"
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
"""

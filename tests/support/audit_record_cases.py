"""Damaged environments of `test_audit.py`, as data: records that contradict each other, requirements not met."""

from __future__ import annotations

from converters.target import Target
from tests.support.audit_cases import INFO, NUMPY, RECORD_OF_A, Case, Expected, do, numpy, put
from tests.support.builders import metadata_text
from tests.support.prefixes import SITE

RECORDS = [
    Case(
        "an empty record, whose files nobody claims now",
        do(lambda made: made.conda("a", "1", {"opt/a/x": b"1"}), put(RECORD_OF_A, b"")),
        (
            ("broken-record", "error", RECORD_OF_A, None, None),
            ("unowned-file", "info", "opt", None, None),
        ),
    ),
    Case(
        "a record that lists a path outside",
        lambda made: made.conda("a", "1", {}, extra={"paths_data": {"paths": [{"_path": "../../x"}]}}),
        (("broken-record", "error", RECORD_OF_A, "conda:a-1-0", None),),
    ),
    Case(
        "files in conda-meta that are no records",
        do(
            lambda made: made.conda("a", "1", {}),
            put("conda-meta/._a-1-0.json", b"\0\5\x16\7"),
            put("conda-meta/a-1-0 (1).json", b""),
        ),
        (
            ("foreign-file", "warning", "conda-meta/._a-1-0.json", None, None),
            ("foreign-file", "warning", "conda-meta/a-1-0 (1).json", None, None),
        ),
    ),
    Case(
        "two records of one package",
        do(lambda made: made.conda("a", "1", {}), lambda made: made.conda("a", "2", {})),
        (("duplicate-record", "error", "conda-meta/a-1-0.json", "conda:a-1-0", "conda:a-2-0"),),
    ),
    Case(
        "pip put it there",
        lambda made: made.distribution("rich", "13.0"),
        (("unmanaged-distribution", "info", INFO, "pip:rich-13.0", None),),
    ),
    Case(
        "a dist-info without RECORD",
        lambda made: made.distribution("rich", "13.0", {}, record=False),
        (
            ("distribution-without-record", "error", INFO, "pip:rich-13.0", None),
            ("unmanaged-distribution", "info", INFO, "pip:rich-13.0", None),
        ),
    ),
    Case(
        "conda's own dist-info without RECORD is none of pip's business",
        lambda made: made.conda_python("rich", "13.0", record=False),
    ),
    Case(
        "the corpse of a dist-info",
        put(f"{INFO}/REQUESTED", b""),
        (("distribution-without-metadata", "error", f"{INFO}/METADATA", "unknown:rich-13.0", None),),
    ),
    Case(
        "two dist-infos of one project",
        do(lambda made: made.wheel("rich", "13.0"), lambda made: made.distribution("Rich", "12.0", {})),
        (
            ("duplicate-distribution", "error", f"{SITE}/Rich-12.0.dist-info", "pip:rich-12.0", "wheel:rich-13.0"),
            ("unmanaged-distribution", "info", f"{SITE}/Rich-12.0.dist-info", "pip:rich-12.0", None),
        ),
    ),
    Case(
        "two conda packages of one project",
        do(
            lambda made: made.conda_python("rich", "13.0"),
            lambda made: made.conda(
                "rich-old",
                "12.0",
                {f"{SITE}/rich-12.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: rich\nVersion: 12.0\n"},
            ),
        ),
        (
            (
                "duplicate-distribution",
                "error",
                f"{SITE}/rich-12.0.dist-info",
                "conda:rich-old-12.0-0",
                "conda:rich-13.0-0",
            ),
        ),
    ),
    Case(
        "a legacy egg that lists no files",
        lambda made: made.write(f"{SITE}/old-1.egg-info/PKG-INFO", metadata_text("old", "1")),
        (
            ("distribution-without-record", "warning", f"{SITE}/old-1.egg-info", "unknown:old-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/old-1.egg-info", "unknown:old-1", None),
        ),
    ),
    Case(
        "a conda package that was built with two dist-infos of one project",
        do(
            lambda made: made.conda_python(
                "rich", "13.0", files={f"{SITE}/rich-12.dist-info/METADATA": metadata_text("rich", "12")}
            ),
        ),
        (
            (
                "duplicate-distribution",
                "info",
                f"{SITE}/rich-12.dist-info",
                "conda:rich-13.0-0",
                "conda:rich-13.0-0",
            ),
        ),
    ),
    Case(
        "a conda package and a wheel with one dist-info: the wheel answers for it",
        do(
            lambda made: made.conda_python("a-rich", "13.0", files={f"{INFO}/METADATA": b"Name: rich"}),
            lambda made: made.wheel("rich", "13.0", {}, requires=["absent"]),
        ),
        (
            ("clobbered-file", "error", f"{INFO}/METADATA", "conda:a-rich-13.0-0", "wheel:rich-13.0"),
            ("double-owner", "error", f"{INFO}/METADATA", "conda:a-rich-13.0-0", "wheel:rich-13.0"),
            ("unmet-requirement", "error", "conda-meta/rich-13.0-py3_none_any_0.json", "wheel:rich-13.0", None),
        ),
    ),
    Case(
        "INSTALLER says pip, and the files are conda's",
        lambda made: made.conda_python("rich", "13.0", installer="pip"),
        (("installer-lies", "info", INFO, "conda:rich-13.0-0", None),),
    ),
    Case(
        "INSTALLER says conda, and no record knows of it",
        lambda made: made.distribution("rich", "13.0", installer="conda"),
        (
            ("installer-lies", "info", INFO, "conda:rich-13.0", None),
            ("unmanaged-distribution", "info", INFO, "conda:rich-13.0", None),
        ),
    ),
]


def unmet(path: str, owner: str, by: str | None = None, level: str = "error") -> Expected:
    return ("unmet-requirement", level, path, owner, by)


RECORDS += [
    Case(
        "a record that came as another package",
        lambda made: made.conda("a", "1", {}, extra={"fn": "b-2-0.conda", "url": "file:///channel/b-2-0.conda"}),
        (("record-lies", "warning", RECORD_OF_A, "conda:a-1-0", None),),
    ),
    Case(
        "the record of a wheel, and METADATA of another version",
        do(
            lambda made: made.wheel("rich", "13.0", {}),
            put(f"{INFO}/METADATA", metadata_text("rich", "14.0")),
        ),
        (
            ("modified-file", "error", f"{INFO}/METADATA", "wheel:rich-13.0", None),
            ("record-lies", "error", "conda-meta/rich-13.0-py3_none_any_0.json", "wheel:rich-13.0", None),
            ("misnamed-distribution", "warning", INFO, "wheel:rich-13.0", None),
        ),
    ),
]

RICH = "conda-meta/rich-13.0-py3_none_any_0.json"
REQUIREMENTS = [
    Case(
        "conda needs what is not there",
        lambda made: made.conda("a", "1", {}, depends=["b >=1"]),
        (unmet(RECORD_OF_A, "conda:a-1-0"),),
    ),
    Case(
        "conda needs another version of a conda package",
        do(numpy, lambda made: made.conda("a", "1", {}, depends=["numpy >=2"])),
        (unmet(RECORD_OF_A, "conda:a-1-0", NUMPY),),
    ),
    Case(
        "conda needs another build",
        do(numpy, lambda made: made.conda("a", "1", {}, depends=["numpy 1.26.* py312*"])),
        (unmet(RECORD_OF_A, "conda:a-1-0", NUMPY),),
    ),
    Case(
        "conda needs a build, which a wheel has not",
        do(
            lambda made: made.wheel("tabulate", "0.9"),
            lambda made: made.conda("a", "1", {}, depends=["tabulate 0.9.* py3_none*"]),
        ),
        (unmet(RECORD_OF_A, "conda:a-1-0", "wheel:tabulate-0.9"),),
    ),
    Case(
        "from which channel a package came binds a solver, not an environment",
        do(numpy, lambda made: made.conda("a", "1", {}, depends=["conda-forge::numpy >=1"])),
    ),
    Case(
        "nobody says which virtual packages there are",
        lambda made: made.conda("a", "1", {}, depends=["__glibc >=2.34", "__cuda >=12"]),
        target=Target(subdir="linux-64"),
    ),
    Case(
        "conda constrains a wheel",
        do(
            lambda made: made.wheel("tabulate", "0.8.10"),
            lambda made: made.conda("a", "1", {}, constrains=["tabulate >=0.9.0"]),
        ),
        (unmet(RECORD_OF_A, "conda:a-1-0", "wheel:tabulate-0.8.10"),),
    ),
    Case(
        "conda's record fits, but what pip put there is what python imports",
        do(
            lambda made: made.conda("pytorch", "2.5", {}),
            lambda made: made.distribution("torch", "1.0"),
            lambda made: made.conda("a", "1", {}, depends=["pytorch >=2"]),
        ),
        (
            unmet(RECORD_OF_A, "conda:a-1-0", "pip:torch-1.0"),
            ("unmanaged-distribution", "info", f"{SITE}/torch-1.0.dist-info", "pip:torch-1.0", None),
        ),
    ),
    Case(
        "conda needs a newer glibc, and a virtual package that this machine lacks",
        lambda made: made.conda("a", "1", {}, depends=["__glibc >=2.34", "__cuda >=12"]),
        (unmet(RECORD_OF_A, "conda:a-1-0"), unmet(RECORD_OF_A, "conda:a-1-0", level="warning")),
    ),
    Case(
        "a requirement under a condition that does not hold, and one that does",
        do(numpy, lambda made: made.conda("a", "1", {}, depends=['x[when="numpy >=2"]', 'y[when="numpy <2"]'])),
        (unmet(RECORD_OF_A, "conda:a-1-0"),),
    ),
    Case(
        "a wheel needs what is not there",
        lambda made: made.wheel("rich", "13.0", requires=["pygments>=2"]),
        (unmet(RICH, "wheel:rich-13.0"),),
    ),
    Case(
        "a wheel needs another version of a conda package",
        do(numpy, lambda made: made.wheel("rich", "13.0", requires=["numpy>=2", "numpy>1"])),
        (unmet(RICH, "wheel:rich-13.0", NUMPY),),
    ),
    Case(
        "a wheel needs a newer conda package that has no dist-info",
        do(
            lambda made: made.conda("opencv", "4.9", {}),
            lambda made: made.wheel("rich", "13.0", requires=["opencv-python>=5"]),
        ),
        (unmet(RICH, "wheel:rich-13.0", "conda:opencv-4.9-0"),),
    ),
    Case(
        "a version outside PEP 440 meets only a requirement without a clause",
        do(
            lambda made: made.conda("opencv", "4.9_custom!", {}),
            lambda made: made.wheel("rich", "13.0", requires=["opencv-python>=4", "opencv-python"]),
        ),
        (unmet(RICH, "wheel:rich-13.0", "conda:opencv-4.9_custom!-0"),),
    ),
    Case(
        "an extra that a person asked for, and what it brings along",
        lambda made: made.wheel(
            "rich",
            "13.0",
            requires=[
                "missing",
                'rich[more] ; extra == "all"',
                'absent ; extra == "more"',
                "python-dateutil ; extra == 'x'",
            ],
            extras=["all", "more", "x"],
            specs=["rich[all]>=13"],
        ),
        (unmet(RICH, "wheel:rich-13.0"), unmet(RICH, "wheel:rich-13.0")),
    ),
    Case(
        "an extra that another wheel asks of a conda package",
        do(
            lambda made: made.conda_python("dask", "2024.1", requires=['fsspec ; extra == "array"'], extras=["array"]),
            lambda made: made.wheel("rich", "13.0", requires=["dask[array]"]),
        ),
        (unmet("conda-meta/dask-2024.1-0.json", "conda:dask-2024.1-0"),),
    ),
    Case(
        "what only the dist-info of a conda package asks for",
        do(numpy, lambda made: made.conda_python("a", "1", requires=["absent", "numpy>=2"])),
        (
            unmet(RECORD_OF_A, "conda:a-1-0", level="info"),
            unmet(RECORD_OF_A, "conda:a-1-0", NUMPY, level="info"),
        ),
    ),
    Case(
        "what the dist-info of a conda package asks of a wheel's extra",
        do(
            lambda made: made.wheel("rich", "13.0", requires=['absent ; extra == "x"'], extras=["x"]),
            lambda made: made.conda_python("a", "1", requires=["rich[x]"]),
        ),
    ),
    Case(
        "a wheel that contradicts the dist-info of a conda package",
        do(
            lambda made: made.wheel("rich", "13.0"),
            lambda made: made.conda_python("a", "1", requires=["rich<13"]),
        ),
        (unmet(RECORD_OF_A, "conda:a-1-0", "wheel:rich-13.0", level="warning"),),
    ),
    Case(
        "a dist-info says more of a project than the conda package known to carry it",
        do(
            lambda made: made.conda("opencv", "4.9", {}),
            lambda made: made.wheel("opencv-python", "5.0"),
            lambda made: made.wheel("rich", "13.0", requires=["opencv-python>=5"]),
        ),
    ),
    Case(
        "what another python's folder holds is not imported",
        do(
            put("lib/python3.11/site-packages/x-1.dist-info/METADATA", metadata_text("x", "1", requires=["absent"])),
            put("lib/python3.11/site-packages/x-1.dist-info/RECORD", b"x-1.dist-info/RECORD,,\n"),
            lambda made: made.wheel("rich", "13.0", requires=["x"]),
        ),
        (
            ("unmanaged-distribution", "info", "lib/python3.11/site-packages/x-1.dist-info", "unknown:x-1", None),
            ("unseen-distribution", "warning", "lib/python3.11/site-packages/x-1.dist-info", "unknown:x-1", None),
            unmet(RICH, "wheel:rich-13.0"),
        ),
    ),
    Case(
        "requirements that nobody can read",
        do(
            lambda made: made.conda_python("a", "1", requires=["a b c"]),
            lambda made: made.wheel("rich", "13.0", requires_python="no version"),
        ),
        (
            unmet(RECORD_OF_A, "conda:a-1-0", level="info"),
            ("requires-python", "info", INFO, "wheel:rich-13.0", None),
        ),
    ),
    Case(
        "a version of before PEP 440, which pip reads no more",
        lambda made: made.distribution("pytz", "2004d"),
        (
            ("broken-record", "error", f"{SITE}/pytz-2004d.dist-info/METADATA", "pip:pytz-2004d", None),
            ("unmanaged-distribution", "info", f"{SITE}/pytz-2004d.dist-info", "pip:pytz-2004d", None),
        ),
    ),
    Case(
        "made for another python",
        do(
            lambda made: made.wheel("rich", "13.0", requires_python=">=3.13"),
            lambda made: made.conda_python("numpy", "1.26.4", requires_python="<3.12"),
        ),
        (
            ("requires-python", "error", INFO, "wheel:rich-13.0", None),
            ("requires-python", "info", f"{SITE}/numpy-1.26.4.dist-info", NUMPY, None),
        ),
    ),
    Case(
        "made for another platform, another python, a newer glibc",
        do(
            lambda made: made.wheel("rich", "13.0", tag="cp312-cp312-macosx_11_0_arm64"),
            lambda made: made.wheel("b", "1", tag="cp311-cp311-manylinux_2_17_x86_64"),
            lambda made: made.wheel("c", "1", tag="cp312-cp312-manylinux_2_34_x86_64"),
            lambda made: made.wheel("d", "1", tag="cp312-cp312-manylinux_2_28_x86_64"),
            lambda made: made.conda_python("e", "1", tag="cp312-cp312-linux_aarch64"),
        ),
        (
            ("wheel-tag", "error", INFO, "wheel:rich-13.0", None),
            ("wheel-tag", "error", f"{SITE}/b-1.dist-info", "wheel:b-1", None),
            ("wheel-tag", "error", f"{SITE}/c-1.dist-info", "wheel:c-1", None),
        ),
    ),
    Case(
        "a target that does not say its glibc takes every manylinux wheel",
        lambda made: made.wheel("c", "1", tag="cp312-cp312-manylinux_2_34_x86_64"),
        target=Target(subdir="linux-64"),
    ),
]

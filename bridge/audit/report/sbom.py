"""Bills of materials: CycloneDX and SPDX, written by the libraries of these projects.

The libraries are of the extra `sbom`, and imported only when a bill is written.
"""

from __future__ import annotations

from datetime import datetime

from bridge.audit.report.facts import Facts
from bridge.errors import UsageError

__all__ = ["bill_of_materials"]


def bill_of_materials(facts: Facts, filename: str, when: datetime) -> bytes:
    """The bill, in the format of the file name.

    `.spdx.json`, `.spdx.yaml` and `.spdx` are SPDX 2.3; `.xml` is CycloneDX 1.6 as XML, anything else CycloneDX as
    JSON. The same facts and the same time give the same bytes.

    Raises `UsageError` (`sbom-library`): the extra is not installed.
    """
    name = filename.lower()
    try:
        if ".spdx" in name:
            from bridge.audit.report.spdx_bill import spdx

            return spdx(facts, name, when)
        from bridge.audit.report.cyclonedx_bill import cyclonedx

        return cyclonedx(facts, when, is_xml=name.endswith(".xml"))
    except ModuleNotFoundError as error:
        raise UsageError(
            "sbom-library",
            f"a bill of materials needs {(error.name or 'a library').partition('.')[0]}, which is not installed",
            hint="install it with: pip install 'conda-bridge[sbom]'",
        ) from error

"""The wheels that the channels of a run list (CEP 48), joined with its indexes."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.channels.sources import Channels
from bridge.channels.wheels import spellings
from bridge.config import Settings
from bridge.model import IndexFile, Resolution
from bridge.resolve.channel_wheels import IndexWithChannels
from bridge.resolve.sources import IndexPort
from bridge.secrets import masked
from converters.names import NameMap
from converters.record import Record

__all__ = ["differences", "with_channels"]


def with_channels(index: IndexPort, channels: Channels, names: NameMap, settings: Settings) -> IndexWithChannels:
    """Return the indexes with the wheels of channels before them."""

    def wheels(project: str) -> Sequence[tuple[IndexFile, Record]]:
        listed = channels.wheels(dict.fromkeys((*names.providers(project), *spellings(project))))
        return [(wheel.file, wheel.record) for wheel in listed]

    strategy, bound = settings.index_strategy, settings.project_indexes
    return IndexWithChannels(index, wheels, names, strategy=strategy, bound=bound)


def differences(resolution: Resolution, index: IndexWithChannels | None) -> list[str]:
    """How the records of channels differ from the METADATA of their wheels, which counts; a sentence each."""
    by_project = index.differences if index is not None else {}
    return [
        f"{masked(each.record.origin)} does not describe {each.record.filename} as its METADATA does, which counts:"
        f" {by_project[each.record.filename]}"
        for each in resolution.packages
        if each.record.is_of_channel and each.record.filename in by_project
    ]

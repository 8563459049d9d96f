"""Facts of the adder, as ``arch`` has those of a unit: its configuration, its layouts, its signals."""

from dataclasses import dataclass

from arch.layout import Layout
from arch.record import Entry, Group, Record, stream_ports

__all__ = ["AdderConfig", "adder_record", "pair_layout", "pairs_layout", "sums_layout"]


@dataclass(frozen=True, kw_only=True)
class AdderConfig:
    """``lanes`` pairs of numbers of ``width`` bits in a beat."""

    lanes: int
    width: int


def pair_layout(config: AdderConfig) -> Layout:
    """The two numbers of a lane."""
    return Layout(a=config.width, b=config.width)


def pairs_layout(config: AdderConfig) -> Layout:
    """Payload of ``i``: a pair for each lane, lane 0 lowest."""
    return Layout(**{f"lane_{lane}": pair_layout(config).width for lane in range(config.lanes)})


def sums_layout(config: AdderConfig) -> Layout:
    """Payload of ``o``: a sum, a bit wider, for each lane."""
    return Layout(**{f"lane_{lane}": config.width + 1 for lane in range(config.lanes)})


def adder_record(config: AdderConfig) -> Record:
    """Ports, the pairs that wait in each lane, and whether any do."""
    return Record(
        [
            stream_ports({"i": pairs_layout(config)}, {"o": sums_layout(config)}),
            Group([Entry("pair", pair_layout(config))], rows=config.lanes),
            Group([Entry("waits", Layout(flag=1))]),
        ]
    )

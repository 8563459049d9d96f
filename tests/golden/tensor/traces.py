"""Traces by the names of their signals, and the simplest operands."""

import numpy as np

from arch.tensor.signals import engine_fields


class Trace:
    """A trace by the names of its signals."""

    def __init__(self, records, config, registers=True):
        self.signals, at = {}, 0
        for field in engine_fields(config, registers=registers):
            places = [place for place in (field.row, field.col) if place is not None]
            key = (field.name, *places) if places else field.name
            self.signals[key] = records[:, at : at + field.words]
            at += field.words
        assert at == records.shape[1]

    def __getitem__(self, key):
        """Python integers, one per cycle."""
        return [sum(int(word) << 32 * i for i, word in enumerate(row)) for row in self.signals[key]]

    def cycles(self, stream):
        """The cycles in which a stream transfers."""
        return np.flatnonzero(self.signals[f"{stream}__valid"][:, 0] & self.signals[f"{stream}__ready"][:, 0]).tolist()


def ones(m, k, n):
    return np.full((m, k), 0x38, np.uint8), np.full((k, n), 0x38, np.uint8)

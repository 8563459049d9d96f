"""Places of tiles in SBUF, by when they are in use."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.config import WORD_BYTES, CoreConfig
from kernels.language.errors import KernelError
from kernels.language.tiles import Buffer

__all__ = ["place"]

#: Instructions for which bytes rest after their last use, where there is room: more than queues hold, so that what is
#: written to them next need not wait.
_REST = 64
#: When bytes were used that nobody used.
_NEVER = -_REST - 2


def place(buffers: list[Buffer], config: CoreConfig) -> None:
    """Give each tile that has no address one.

    A tile has its bytes from its first to its last instruction. Of the places that are free it gets one that has
    rested; among these one in banks where the ports that use it meet few others; then the lowest.

    Raises KernelError, with what is in use, at the tile for which there is no room.
    """
    used = sorted((b for b in buffers if b.first is not None), key=lambda buffer: (buffer.first, buffer.number))
    _check_by_hand([buffer for buffer in used if buffer.by_hand])
    for tight in (False, True):
        try:
            _Lane(used, config, tight).place()
        except KernelError as error:
            failure = error
        else:
            return
    # Long tiles first leave the fewest gaps.
    if not _packed(used, config):
        raise failure


def _check_by_hand(buffers: list[Buffer]) -> None:
    for number, buffer in enumerate(buffers):
        for other in buffers[:number]:
            if _meet(buffer, other) and _at_once(buffer, other):
                rule = "tiles that are in use at once must lie apart"
                raise KernelError(f"{rule}, not {buffer} on {other}", buffer.source)


def _at_once(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def _meet(a: Buffer, b: Buffer) -> bool:
    return a.address < b.address + b.bytes and b.address < a.address + a.bytes


@dataclass
class _Span:
    """Some bytes of each lane: in use by a tile, or free since an instruction."""

    start: int
    end: int
    buffer: Buffer | None = None
    since: int = _NEVER


class _Lane:
    """The bytes of a lane as instructions go by. Where it is tight, a tile gets the lowest place that is free."""

    def __init__(self, buffers: list[Buffer], config: CoreConfig, tight: bool) -> None:
        self.buffers, self.tight, self.rest, self.now = buffers, tight, 0 if tight else _REST, 0
        self.by_hand = [buffer for buffer in buffers if buffer.by_hand]
        self.bank_bytes, self.lane_bytes = config.bank_rows * WORD_BYTES, config.lane_bytes
        self.spans = [_Span(0, config.lane_bytes)]
        self.recent: list[Buffer] = []

    def place(self) -> None:
        for buffer in self.buffers:
            if not buffer.by_hand:
                self._free(buffer.first)
                self._put(buffer)

    def _free(self, now: int) -> None:
        """Take back what is in use no more, and join what has rested."""
        self.now, spans = now, []
        for span in self.spans:
            if span.buffer is not None and span.buffer.last < now:
                span.since, span.buffer = span.buffer.last, None
            before = spans[-1] if spans else None
            if before and before.buffer is span.buffer is None and max(before.since, span.since) < now - self.rest:
                before.end, before.since = span.end, max(before.since, span.since)
            else:
                spans.append(span)
        self.spans = spans

    def _put(self, buffer: Buffer) -> None:
        start = self._best(buffer)
        if start is None:
            raise KernelError(self._full(buffer), buffer.source)
        buffer.address, end = start, start + buffer.bytes
        self.recent.append(buffer)
        spans = []
        for span in self.spans:
            if span.end <= start or span.start >= end:
                spans.append(span)
                continue
            if span.start < start:
                spans.append(_Span(span.start, start, None, span.since))
            if span.start <= start:
                spans.append(_Span(start, end, buffer))
            if span.end > end:
                spans.append(_Span(end, span.end, None, span.since))
        self.spans = spans

    def _best(self, buffer: Buffer) -> int | None:
        """The address that suits a tile best; None if there is no room."""
        places = list(self._places(buffer))
        if not places:
            return None
        least = min(late for late, _ in places)
        starts = sorted(start for late, start in places if late == least)
        return starts[0] if self.tight else self._quietest(buffer, starts)

    def _places(self, buffer: Buffer) -> Iterator[tuple[int, int]]:
        """Places: 0 for bytes that have rested, else more the shorter they have; the address."""
        blocked = [other for other in self.by_hand if _at_once(buffer, other)]
        behind = [other.address + other.bytes for other in blocked]
        for number, span in enumerate(self.spans):
            if span.buffer is not None:
                continue
            starts = {span.start, *(start for start in behind if span.start < start < span.end)}
            if not self.tight:
                starts |= {*range(-(-span.start // self.bank_bytes) * self.bank_bytes, span.end, self.bank_bytes)}
            for start in starts:
                end = start + buffer.bytes
                since = span.since if end <= span.end else self._since(number, end)
                if since is None or any(o.address < end and start < o.address + o.bytes for o in blocked):
                    continue
                yield 0 if self.tight or since < self.now - self.rest else since + 2, start

    def _since(self, number: int, end: int) -> int | None:
        """When bytes from within a span on were in use at last; None if they are not all free."""
        since = _NEVER
        for span in self.spans[number:]:
            if span.buffer is not None:
                return None
            since = max(since, span.since)
            if span.end >= end:
                return since
        return None

    def _quietest(self, buffer: Buffer, starts: list[int]) -> int:
        """The lowest of the addresses in whose banks the ports that use a tile meet the fewest others."""
        lowest: dict[tuple[int, int], int] = {}
        for start in starts:
            lowest.setdefault((start // self.bank_bytes, (start + buffer.bytes - 1) // self.bank_bytes), start)
        if len(lowest) == 1:
            return starts[0]
        # What was in use a moment ago may still be at work.
        self.recent = [other for other in self.recent if other.last >= self.now - _REST]
        near = [*self.recent, *(other for other in self.by_hand if _at_once(buffer, other))]
        met = [(o.address, o.address + o.bytes, count) for o in near if (count := self._meet(buffer, o))]
        scores = []
        for (first, last), start in lowest.items():
            begin, end = first * self.bank_bytes, (last + 1) * self.bank_bytes
            scores.append((sum(count for low, high, count in met if high > begin and low < end), start))
        return min(scores)[1]

    @staticmethod
    def _meet(buffer: Buffer, other: Buffer) -> int:
        """How much two tiles in one bank disturb each other: reads meet reads, writes meet writes of another port."""
        kinds = ((buffer.reads, other.reads), (buffer.writes, other.writes))
        count = sum(bool(mine and others and (mine != others or len(mine) > 1)) for mine, others in kinds)
        return count + 8 * (other.number in buffer.partners)

    def _full(self, buffer: Buffer) -> str:
        live = [(span.start, span.end, span.buffer) for span in self.spans if span.buffer is not None]
        live += [(o.address, o.address + o.bytes, o) for o in self.by_hand if _at_once(buffer, o)]
        live.sort(key=lambda place: place[0])
        free = self.lane_bytes - sum(end - start for start, end, _ in live)
        rule = f"tiles in use at once must fit in {self.lane_bytes} bytes a lane"
        lines = [f"{rule}, not {buffer.bytes} more for {buffer}: {free} are free beside"]
        return "\n".join(
            [*lines, *(f"  {start}..{end - 1}  {other}" for start, end, other in sorted(live, key=lambda s: s[0]))]
        )


def _packed(buffers: list[Buffer], config: CoreConfig) -> bool:
    """The lowest place for each tile, the longest first; False if one has none."""
    placed = [buffer for buffer in buffers if buffer.by_hand]
    for buffer in sorted((b for b in buffers if not b.by_hand), key=lambda b: (-b.bytes, b.first, b.number)):
        start = 0
        for other in sorted((o for o in placed if _at_once(buffer, o)), key=lambda o: o.address):
            if other.address >= start + buffer.bytes:
                break
            start = max(start, other.address + other.bytes)
        if start + buffer.bytes > config.lane_bytes:
            return False
        buffer.address = start
        placed.append(buffer)
    return True

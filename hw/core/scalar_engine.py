"""The scalar engine: a function of each element, and the sum of its values."""

from hw.core.lane_engine import LaneEngine
from hw.core.scalar_lane import ScalarLane

__all__ = ["ScalarEngine"]


class ScalarEngine(LaneEngine):
    """See :class:`hw.core.lane_engine.LaneEngine`."""

    module_name = "scalar_engine"
    lane = ScalarLane

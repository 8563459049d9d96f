"""Latencies of the core's blocks, in cycles, and depths that no configuration changes."""

__all__ = ["FETCH_DEPTH", "FLOAT_LATENCY", "FUNCTION_LATENCY", "REDUCE_CYCLES", "WRITES_IN_FLIGHT"]

#: Of every operation of the vector engine, and of each of the scalar engine's product and sum.
FLOAT_LATENCY = 4
#: Of the scalar engine's functions.
FUNCTION_LATENCY = 6
#: Eight partial sums become one: what is under way arrives, then four sums, two and one, each after those before it.
REDUCE_CYCLES = 4 * FLOAT_LATENCY + 7
#: Instructions that the dispatcher fetches ahead.
FETCH_DEPTH = 8
#: Bursts written that may wait for their answer.
WRITES_IN_FLIGHT = 32

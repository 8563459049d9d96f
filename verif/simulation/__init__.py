"""Simulation of any device: builds, the harness that compares, replays, streams, waveform files."""

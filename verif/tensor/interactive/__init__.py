"""Benches that drive an engine from within the simulator: idle, stall, reset, a full PSUM."""

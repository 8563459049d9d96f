"""What every unit is made of: placing and emitting blocks, delays, queues, slices, arbiters and memories."""

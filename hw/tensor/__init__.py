"""The tensor engine: array, edges, sequencer, PSUM and read-out."""

"""Each block of the engine alone: what is driven, and what the golden model expects of it."""

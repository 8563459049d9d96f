"""Each block of the core alone: what is driven, and what an oracle expects of it."""

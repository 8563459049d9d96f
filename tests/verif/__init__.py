"""Tests. A package, so that a folder beside them, such as ``coverage``, does not pass for a library of that name."""

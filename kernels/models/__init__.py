"""Whole models as programs of a core."""

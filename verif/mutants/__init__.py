"""Faults put into any module."""

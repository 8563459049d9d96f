"""Pytest puts this folder on the path, so that all of golden's tests find ``operands``."""

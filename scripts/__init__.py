"""The command line and what the Makefile calls."""

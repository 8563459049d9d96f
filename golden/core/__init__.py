"""The core: its jobs and its cycle model."""

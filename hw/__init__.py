"""The RTL: a folder per block, one component a file."""

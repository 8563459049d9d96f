"""What an FPGA build needs beside the machine: a wrapper that spares the pins, and mappings to a family's cells."""

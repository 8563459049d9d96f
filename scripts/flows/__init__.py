"""What is made of the RTL: files, builds, figures, pictures."""

"""Models from the files that people have, and what they give on a core."""

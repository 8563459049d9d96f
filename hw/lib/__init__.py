"""What components of any unit are made with: hierarchy, assembly, delays."""

"""What is proved of the blocks that every unit is made with."""

"""What components of any unit are made with: placing and emitting them, delays, queues, arbiters, memories."""

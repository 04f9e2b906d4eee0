"""The repair service: when to look, when to repair, and what it says of it."""

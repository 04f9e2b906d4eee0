"""For a host's admin."""

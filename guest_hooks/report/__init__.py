"""Results as JSON, words, metrics and journal entries."""

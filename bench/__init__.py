"""What is promised of speed and memory, measured as ratios within one run."""

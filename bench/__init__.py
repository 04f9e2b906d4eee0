# SPDX-License-Identifier: GPL-3.0-or-later
"""What is promised of speed and memory, measured as ratios within one run."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the source tree is; imports nothing, so that what runs without pytest can ask, too."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""Its top."""
CACHE = CHECKOUT / ".cache"
"""Where what is slow to build or to download stays from run to run; git-ignored."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the second-stage boot loader of a Debian guest under Xen right. HACKING.md shows the
architecture.
"""

__version__ = "1.1.0"

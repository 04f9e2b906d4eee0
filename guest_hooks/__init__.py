# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the second-stage boot loader of a Debian guest under Xen right. HACKING.md has the
picture of the house.
"""

__version__ = "1.1.0"

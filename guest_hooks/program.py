# SPDX-License-Identifier: GPL-3.0-or-later
"""How this program is called, and what messages ask people to type."""

PROGRAM = "xen-guest-bootloader"
SYNC = f"{PROGRAM} sync"
UNHOLD = f"{PROGRAM} unhold"
SYNC_UNIT = f"{PROGRAM}-sync.service"
REPAIR = (PROGRAM, "sync", "--quiet", "--automatic", "--lock-timeout", "300")
"""What the repair unit runs."""

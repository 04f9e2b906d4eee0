# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair service: when to look, when to repair, and what it says of it."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""How it is: what this guest should have, what it has, and a verdict with reasons."""

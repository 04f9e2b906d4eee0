# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of problem codes: a row each, grouped by what the problem is with.

To add one, add a row to its group. The manual's list, the JSON Schema's codes and
docs/troubleshooting.md are made from the table: `make pages` writes them, a test compares them.
"""

# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine: facts and effects, one noun a module."""

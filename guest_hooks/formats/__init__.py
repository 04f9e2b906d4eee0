# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes to facts. Pure: no file is opened here."""

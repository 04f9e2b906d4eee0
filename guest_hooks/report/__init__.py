# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as JSON, words, metrics and journal entries."""

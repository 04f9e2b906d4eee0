# SPDX-License-Identifier: GPL-3.0-or-later
"""Will the next boot work: it is followed link by link, as it will happen."""

"""Bytes to facts. Pure: no file is opened here."""

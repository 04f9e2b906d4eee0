"""This machine: facts and effects, one noun a module."""

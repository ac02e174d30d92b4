"""Composing, checking and identifying a run's configuration, and building what it describes."""

"""What a run does between its configuration and its files, for each kind of thing that methods find."""

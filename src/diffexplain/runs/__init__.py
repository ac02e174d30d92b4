"""What makes a run repeatable: identity, lock, atomic files, manifest, random draws."""

"""The one engine of effects: paired interventions, what they cost, and what they come to. `docs/method.md`."""

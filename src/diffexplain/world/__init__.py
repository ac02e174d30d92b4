"""The embedded world: small scenes whose answer to "what does this classifier look for?" is known."""

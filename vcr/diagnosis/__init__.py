"""Why an app does not start: what was seen, and the words for it."""

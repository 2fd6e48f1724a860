"""The way to the network while locking: where it may lead, and that it ends."""

"""The profile dev: the image as a container of this host."""

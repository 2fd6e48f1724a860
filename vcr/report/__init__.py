"""What is drawn of a build: pages, graphs, flame graphs."""

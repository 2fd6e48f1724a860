"""What packages of Debian say in their maintainer scripts, read as data: none is run."""

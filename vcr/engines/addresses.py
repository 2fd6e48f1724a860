"""Addresses of the network that a machine or a container is in."""

# What leads on, and where this host answers for its own resolver. Neither is this host itself, of
# which nothing that listens on its loopback is to be reached.
GATEWAY, DNS_ADDRESS = "10.0.2.2", "10.0.2.3"

"""The protocol with the guest: its agent's client, and a server for where there is no guest."""

"""The protocol with the guest: its agent's client, and a server where there is no guest."""

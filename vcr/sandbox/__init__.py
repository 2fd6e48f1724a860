"""What runs inside the Nix sandbox, on the standard library alone.

Nix imports this directory by itself; nothing here may import the rest of vcr.
"""

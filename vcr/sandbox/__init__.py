"""What Nix builders run: one builder a module, on the standard library alone.

Nix takes the modules that a builder imports (nix/lib/sandbox.nix), from here and from
vcr.formats; nothing here may import the rest of vcr.
"""

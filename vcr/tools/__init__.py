"""One external program a module: typed in and out, the flags explained."""

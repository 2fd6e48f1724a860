"""Does what is stated hold, and is it enough: pure functions of files and demands."""

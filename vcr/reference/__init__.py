"""The reference, made of the code: pages of Markdown and pages for man.

Each module writes one kind of page; `pages` has them all. The same code gives the same bytes.
"""

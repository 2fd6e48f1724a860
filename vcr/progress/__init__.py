"""How progress is shown: live on a terminal, one contiguous block a step on CI, as JSON.

A step that was cached says so, a step that ran says why, and a failure shows what the step
printed. A step may have parts, which run side by side: the instructions of a Dockerfile.
Displays only write to the stream they are given, and nothing that a name or a line holds
steers a terminal there (vcr.escape).
"""

from vcr.progress.choose import choose_display
from vcr.progress.json_lines import as_json
from vcr.progress.step import Display, Progress, Step

__all__ = ("Display", "Progress", "Step", "as_json", "choose_display")

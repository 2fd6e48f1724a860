"""A flame graph of a profile: an SVG that needs nothing else, readable in light and in dark.

A frame is as wide as samples were in it; what it called stands on it. Hovering shows details,
a click goes into a frame, Ctrl-F or / searches. The same profile gives the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from vcr.escape import as_markup
from vcr.perf.profile import OBJECT, SEPARATOR, Profile
from vcr.perf.symbols import KERNEL, UNKNOWN
from vcr.words import counted

WIDTH, ROW, MARGIN, HEAD = 1200, 18, 12, 52  # px
NARROWEST = 0.3  # px; what is narrower is left out
LETTER = 6.6  # px that a letter takes, about
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --paper: #ffffff;
  --process: #d0d7de; --app: #9ec5fe; --kernel: #ffc680; --unknown: #e3e6e9; --found: #d86bd8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #8b949e; --paper: #0d1117;
  --process: #30363d; --app: #1f4f8f; --kernel: #7d4e12; --unknown: #262c33; --found: #8e3a8e } }
text { font: 12px ui-monospace, monospace; fill: var(--ink); pointer-events: none }
text.head { font: 600 15px system-ui, sans-serif }
text.note { font: 12px system-ui, sans-serif; fill: var(--dim) }
g.f rect { stroke: var(--paper); stroke-width: .5; cursor: pointer }
g.f:hover rect { stroke: var(--ink); stroke-width: 1 }
.process rect { fill: var(--process) } .app rect { fill: var(--app) }
.kernel rect { fill: var(--kernel) } .unknown rect { fill: var(--unknown) }
g.f.found rect { fill: var(--found) }
"""
# x and width of every frame are kept as parts of the whole, so that one can be gone into.
SCRIPT = """
const frames = [...document.querySelectorAll("g.f")], told = document.getElementById("told");
const place = f => [Number(f.dataset.x), Number(f.dataset.w)];
function show(x, w) {
  for (const f of frames) {
    const [a, b] = place(f), left = Math.max(a, x), right = Math.min(a + b, x + w);
    const width = (right - left) / w * WIDTH, r = f.querySelector("rect");
    const t = f.querySelector("text"), n = Math.floor((width - 6) / LETTER);
    f.style.display = width < NARROWEST ? "none" : "";
    r.setAttribute("x", MARGIN + (left - x) / w * WIDTH);
    r.setAttribute("width", Math.max(width, 0));
    t.setAttribute("x", MARGIN + 3 + (left - x) / w * WIDTH);
    const s = f.dataset.s;
    t.textContent = n < 3 ? "" : s.length <= n ? s : s.slice(0, n - 1) + "\\u2026";
  }
}
for (const f of frames) f.addEventListener("click", () => show(...place(f)));
document.addEventListener("keydown", e => {
  if (e.key === "Escape") { show(0, 1); search(""); }
  if (e.key !== "/" && !(e.ctrlKey && e.key === "f")) return;
  e.preventDefault();
  search(prompt("search for (a regular expression)") || "");
});
function search(text) {
  let parts = [];
  let wanted = null;
  try { wanted = text ? new RegExp(text, "i") : null; } catch { text = "not a pattern: " + text; }
  for (const f of frames) {
    const hit = wanted !== null && wanted.test(f.querySelector("title").textContent);
    f.classList.toggle("found", hit);
    if (hit) parts.push(place(f));
  }
  parts.sort((a, b) => a[0] - b[0]);
  let sum = 0, end = 0;
  for (const [x, w] of parts) {
    sum += Math.max(0, x + w - Math.max(end, x));
    end = Math.max(end, x + w);
  }
  told.textContent = text ? `${text}: ${(100 * sum).toFixed(1)} %` : "";
}
"""


@dataclass
class _Frame:
    name: str
    count: int = 0
    callees: "dict[str, _Frame]" = field(default_factory=dict)


def draw(profile: Profile) -> str:
    """Return the SVG of PROFILE."""
    root = _tree(profile)
    whole = max(root.count, 1)
    depth = _depth(root)
    height = HEAD + depth * ROW + 2 * MARGIN + ROW
    size = f'viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" width="{WIDTH + 2 * MARGIN}"'
    name = f'role="img" aria-label="flame graph of {as_markup(profile.name)}"'
    title = f"{profile.name}, {profile.profile}: {counted(root.count, 'sample')}"
    script = SCRIPT
    for constant in ("WIDTH", "LETTER", "NARROWEST", "MARGIN"):
        script = script.replace(constant, str(globals()[constant]))
    bottom = height - MARGIN - ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} height="{height}" {name}>',
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="var(--paper)"/>',
        f'<text class="head" x="{MARGIN}" y="22">{as_markup(title)}</text>',
        f'<text class="note" x="{MARGIN}" y="40">{NOTE}</text>',
        f'<text class="note" id="told" x="{WIDTH + MARGIN}" y="40" text-anchor="end"></text>',
        *_boxes(root, 0, 0, whole, bottom),
        f"<script><![CDATA[{script}]]></script>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


NOTE = "hover: details; click: zoom in; / or Ctrl-F: search; Esc: show all"


def _tree(profile: Profile) -> _Frame:
    root = _Frame("all", profile.samples)
    for stack, count in sorted(profile.stacks.items()):
        at = root
        for name in stack.split(SEPARATOR):
            at = at.callees.setdefault(name, _Frame(name))
            at.count += count
    return root


def _depth(frame: _Frame) -> int:
    return 1 + max(map(_depth, frame.callees.values()), default=0)


def _boxes(frame: _Frame, level: int, before: int, whole: int, bottom: int) -> Iterator[str]:
    """Yield the boxes of FRAME, before which BEFORE samples stand, and of those on it."""
    width = frame.count / whole * WIDTH
    if width < NARROWEST:
        return
    x, y = MARGIN + before / whole * WIDTH, bottom - level * ROW
    where, found, symbol = frame.name.partition(OBJECT)
    label = symbol if found else frame.name
    words = f"{label} ({where})" if found else label
    share = f"{counted(frame.count, 'sample')}, {100 * frame.count / whole:.1f} %"
    room = int((width - 6) / LETTER)
    short = "" if room < 3 else label if len(label) <= room else label[: room - 1] + "…"
    data = f'data-x="{before / whole:.6f}" data-w="{frame.count / whole:.6f}"'
    yield (
        f'<g class="f {_kind(level, where, label)}" {data} data-s="{as_markup(label)}">'
        f"<title>{as_markup(words)}: {share}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" rx="2"/>'
        f'<text x="{x + 3:.2f}" y="{y + 13}">{as_markup(short)}</text></g>'
    )
    for callee in frame.callees.values():
        yield from _boxes(callee, level + 1, before, whole, bottom)
        before += callee.count


def _kind(level: int, where: str, label: str) -> str:
    if level <= 1:
        return "process"
    if where == KERNEL:
        return "kernel"
    return "unknown" if label == UNKNOWN else "app"

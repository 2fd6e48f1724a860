"""That building a derivation again gives the same bytes, as a derivation of its own.

What decides it are the derivation's inputs, so it is in the store once it was shown, and is shown
again after a change of any of them, or with VCR_ROUNDS. Nix's own --check keeps nothing.
"""

import ast
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from determinism import fill, pinned

from vcr.settings import Settings
from vcr.tools.nix import Nix

type Command = Callable[[list[str]], subprocess.CompletedProcess[str]]

FRESH = "VCR_ROUNDS" in os.environ  # how often is what is wanted then
# The same derivation but for a variable that nothing reads. Strings that were in a .drv file are
# only text: `again` brings what they speak of.
AGAIN = """
{ file, busybox, compare }:
let
  inputs = builtins.fromJSON (builtins.readFile file);
  with_inputs = text: builtins.appendContext text inputs.context;
  again = derivation (inputs.variables // {
    inherit (inputs) args;
    vcr_again = with_inputs inputs.number;
  });
in {
  inherit again;
  same = derivation {
    name = "vcr-same-again";
    inherit (inputs.variables) system;
    builder = "${builtins.storePath busybox}/bin/busybox";
    args = [ "sh" "-euc" compare ];
    busybox = builtins.storePath busybox;
    first = builtins.appendContext inputs.output inputs.first;
    second = again;
  };
}
"""
SHOWN = """
{ inputs, busybox }:
derivation {
  name = "vcr-shown";
  system = builtins.currentSystem;
  builder = "${builtins.storePath busybox}/bin/busybox";
  args = [ "sh" "-c" ''echo "$inputs" > $out'' ];
  inherit inputs;
}
"""
COMPARE = """
tree() { # names and modes of what is below $1, and where links lead
  "$busybox/bin/busybox" find "$1" -exec "$busybox/bin/busybox" stat -c '%F %a %N' {} + |
    "$busybox/bin/busybox" sed "s,$1,,g" | "$busybox/bin/busybox" sort
}
[ "$(tree "$first")" = "$(tree "$second")" ]
"$busybox/bin/busybox" diff -r "$first" "$second"
echo "$first" > "$out"
"""


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ARGV, whatever comes of it."""
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def on_one_cpu(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ARGV on one CPU, where taskset is at hand."""
    return run([*pinned(1), *argv])


def assert_same_again(
    drvs: Iterable[Path | str], by: Command = run, numbers: Iterable[int] = (1,)
) -> None:
    """Build DRVS again, by a command that BY runs: the same bytes come out, each of NUMBERS times.

    Outputs that are not there, since nothing keeps what a result was only made from, are built.
    """
    wanted = sorted(map(str, drvs))
    if FRESH:
        for words in ((), *(("--check",) for _ in numbers)):
            done = by(["nix-store", "--realise", *words, *wanted])
            assert done.returncode == 0, done.stderr
        return
    pairs = [_instantiate(Path(drv), number) for drv in wanted for number in numbers]
    same = [same for same, _ in pairs]
    fill(same)
    done = by(["nix-store", "--realise", *same])
    assert done.returncode == 0, done.stderr
    for _, again in pairs:  # twice what was built is not kept
        found = run(["nix-store", "--query", "--outputs", again]).stdout.split()
        if any(map(os.path.lexists, found)):
            run(["nix-store", "--delete", *found])


def _instantiate(drv: Path, number: int) -> tuple[str, str]:
    """Return the derivations of: DRV builds the same again, and of DRV again."""
    _, inputs, sources, system, builder, args, pairs = ast.literal_eval(
        drv.read_text().removeprefix("Derive")
    )
    env = dict(pairs)
    context: dict[str, object] = {name: {"outputs": outputs} for name, outputs in inputs}
    told = {
        "number": str(number),
        "args": args,
        "variables": {name: value for name, value in env.items() if name != "out"}
        | {"system": system, "builder": builder},
        "context": context | {name: {"path": True} for name in sources},
        "output": env["out"],
        "first": {str(drv): {"outputs": ["out"]}},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(told, file)
        file.flush()
        words = {"file": file.name, "compare": COMPARE}
        same, again = _derivations(AGAIN, words, "-A", "same", "-A", "again")
    return same, again


def show_once(inputs: Mapping[str, str], show: Callable[[], None]) -> None:
    """Call SHOW unless it was called for the same INPUTS before, and came to its end.

    They have to be all that decides how it ends. The store keeps that it did.
    """
    text = json.dumps(inputs, sort_keys=True)
    (drv,) = _derivations(SHOWN, {"inputs": text})
    (out,) = run(["nix-store", "--query", "--outputs", drv]).stdout.split()
    if FRESH or run(["nix-store", "--check-validity", out]).returncode != 0:
        show()
    done = run(["nix-store", "--realise", drv])
    assert done.returncode == 0, done.stderr


@cache
def _busybox() -> Path:
    return Nix(Settings.load()).build("busybox", lambda _: None)


def _derivations(expression: str, words: Mapping[str, str], *more: str) -> list[str]:
    """Return the derivations of a function of WORDS, which gets a shell, too."""
    pairs = {**words, "busybox": str(_busybox())}.items()
    named = [word for pair in pairs for word in ("--argstr", *pair)]
    done = run(["nix-instantiate", "--expr", expression, *named, *more])
    assert done.returncode == 0, done.stderr
    return done.stdout.split()

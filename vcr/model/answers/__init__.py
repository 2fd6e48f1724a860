"""What `--json` prints: one object of `schema`, `kind`, and what is said here of its kind.

Descriptions are for the reference, docs/reference/json.md. The verbs write plain objects;
that these are of the form said here is checked wherever a test reads one.
"""

from vcr.model.answers import building, looking, proving, running, sharing
from vcr.model.answers.base import Answer

# kind → the verb that prints it and its form
ANSWERS: dict[str, tuple[str, type[Answer]]] = {
    "intro": ("intro", building.Intro),
    "create": ("create", building.Create),
    "lock": ("lock", building.Lock),
    "build": ("build", building.Build),
    "inspect": ("inspect", building.Inspect),
    "config": ("inspect --config", building.Config),
    "graph": ("graph", building.Graph),
    "report": ("report", building.Report),
    "machine": ("up, run", running.Machine),
    "ps": ("ps", running.Ps),
    "down": ("down", running.Down),
    "exec": ("exec, cat", running.Exec),
    "cp": ("cp", running.Cp),
    "ssh-config": ("ssh-config", running.SshConfig),
    "perf-record": ("perf record", looking.PerfRecord),
    "perf": ("perf report, perf top", looking.Perf),
    "gdb": ("gdb --print", looking.Gdb),
    "verify": ("verify", proving.Verify),
    "explain": ("explain", proving.Explain),
    "export": ("export", sharing.Export),
    "nbd": ("export --nbd", sharing.Nbd),
    "push": ("push", sharing.Push),
    "pull": ("pull", sharing.Pull),
    "cache-push": ("cache push", sharing.CachePush),
    "cache-info": ("cache info", sharing.CacheInfo),
    "prune": ("prune", sharing.Prune),
    "keygen": ("attest keygen", proving.Keygen),
    "attest": ("attest", proving.Attest),
    "attest-verify": ("attest verify", proving.AttestVerify),
    "doctor": ("doctor", running.Doctor),
}

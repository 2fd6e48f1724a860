"""vcr for other programs: what each verb does, as a function with typed arguments and results.

    from pathlib import Path
    from vcr import app

    built = app.build(app.Context(Path("examples/static")))

Nothing here prints data or ends the process: results are returned, failures are raised as
`vcr.errors.VcrError`, progress goes to the `Ui` of the `Context`, which is silent unless
another one is given. Each name is imported when it is first used, so that importing this
package is cheap. The modules stand as those of `vcr.cli` do: the verb `build` of
`vcr/cli/building/build.py` calls `build` of `vcr/app/building/build.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vcr.agent.debug import Request as Request
    from vcr.agent.session import Streams as Streams
    from vcr.app.building.build import build as build
    from vcr.app.building.create import create as create
    from vcr.app.building.graph import graph as graph
    from vcr.app.building.inspect import Configuration as Configuration
    from vcr.app.building.inspect import Inspection as Inspection
    from vcr.app.building.inspect import configuration as configuration
    from vcr.app.building.inspect import inspect as inspect
    from vcr.app.building.lock import Audited as Audited
    from vcr.app.building.lock import Locked as Locked
    from vcr.app.building.lock import audit_lock as audit_lock
    from vcr.app.building.lock import check_lock as check_lock
    from vcr.app.building.lock import lock as lock
    from vcr.app.building.report import report as report
    from vcr.app.building.standing import Standing as Standing
    from vcr.app.building.standing import standing as standing
    from vcr.app.building.suggest import suggest_bases as suggest_bases
    from vcr.app.context import Context as Context
    from vcr.app.context import Variant as Variant
    from vcr.app.hosting.doctor import Diagnosis as Diagnosis
    from vcr.app.hosting.doctor import doctor as doctor
    from vcr.app.hosting.prune import Pruned as Pruned
    from vcr.app.hosting.prune import prune as prune
    from vcr.app.looking.gdb import Debugger as Debugger
    from vcr.app.looking.gdb import gdb as gdb
    from vcr.app.looking.perf import perf_boot as perf_boot
    from vcr.app.looking.perf import perf_record as perf_record
    from vcr.app.looking.perf import perf_top as perf_top
    from vcr.app.proving.attest import Attestation as Attestation
    from vcr.app.proving.attest import AttestOptions as AttestOptions
    from vcr.app.proving.attest import KeyPair as KeyPair
    from vcr.app.proving.attest import attest as attest
    from vcr.app.proving.attest import keygen as keygen
    from vcr.app.proving.attest_verify import Demands as Demands
    from vcr.app.proving.attest_verify import rebuild_stated as rebuild_stated
    from vcr.app.proving.attest_verify import verify_statements as verify_statements
    from vcr.app.proving.explain import Explanation as Explanation
    from vcr.app.proving.explain import diffoscope as diffoscope
    from vcr.app.proving.explain import explain as explain
    from vcr.app.proving.published import Published as Published
    from vcr.app.proving.published import push_statements as push_statements
    from vcr.app.proving.verify import Comparison as Comparison
    from vcr.app.proving.verify import Source as Source
    from vcr.app.proving.verify import verify as verify
    from vcr.app.proving.verify import verify_drive as verify_drive
    from vcr.app.proving.verify import witness as witness
    from vcr.app.running.exec import SshConfig as SshConfig
    from vcr.app.running.exec import ask as ask
    from vcr.app.running.exec import attach as attach
    from vcr.app.running.exec import copy_in as copy_in
    from vcr.app.running.exec import copy_out as copy_out
    from vcr.app.running.exec import execute as execute
    from vcr.app.running.exec import read_file as read_file
    from vcr.app.running.exec import shell_request as shell_request
    from vcr.app.running.exec import ssh_config as ssh_config
    from vcr.app.running.hot import run_hot as run_hot
    from vcr.app.running.logs import Listed as Listed
    from vcr.app.running.logs import LogOptions as LogOptions
    from vcr.app.running.logs import logs as logs
    from vcr.app.running.logs import ps as ps
    from vcr.app.running.start import UpOptions as UpOptions
    from vcr.app.running.up import Listener as Listener
    from vcr.app.running.up import Up as Up
    from vcr.app.running.up import down as down
    from vcr.app.running.up import run as run
    from vcr.app.running.up import up as up
    from vcr.app.running.volumes import remove_volumes as remove_volumes
    from vcr.app.running.volumes import volumes as volumes
    from vcr.app.sharing.cache import CachedStage as CachedStage
    from vcr.app.sharing.cache import CachePush as CachePush
    from vcr.app.sharing.cache import cache_info as cache_info
    from vcr.app.sharing.cache import push_to_cache as push_to_cache
    from vcr.app.sharing.export import export as export
    from vcr.app.sharing.export import serve_drive as serve_drive
    from vcr.app.sharing.push import pull as pull
    from vcr.app.sharing.push import push as push
    from vcr.app.sharing.push import write_layout as write_layout
    from vcr.attest.checks.checker import Verdict as Verdict
    from vcr.attest.dsse import Envelope as Envelope
    from vcr.attest.providers import Evidence as Evidence
    from vcr.build.builder import Built as Built
    from vcr.build.builder import BuiltStage as BuiltStage
    from vcr.engines.container.bundle import Bind as Bind
    from vcr.engines.machine import Forward as Forward
    from vcr.export.manifest import Manifest as Manifest
    from vcr.model.arch import Arch as Arch
    from vcr.model.ladder import Rung as Rung
    from vcr.model.stage import Rebuilt as Rebuilt
    from vcr.perf.profile import Profile as Profile
    from vcr.runtime.exec import Answer as Answer
    from vcr.runtime.record import Record as Record
    from vcr.runtime.volumes import NamedVolume as NamedVolume
    from vcr.verify.ladders import Claim as Claim
    from vcr.verify.ladders import Compared as Compared
    from vcr.verify.ladders import claim_of as claim_of
    from vcr.verify.ladders import read_claim as read_claim

# public name → the module that has it; in the order of docs/reference/python.md
PUBLIC = {
    "Context": "vcr.app.context",
    "Variant": "vcr.app.context",
    "Arch": "vcr.model.arch",
    "create": "vcr.app.building.create",
    "Standing": "vcr.app.building.standing",
    "standing": "vcr.app.building.standing",
    "Locked": "vcr.app.building.lock",
    "lock": "vcr.app.building.lock",
    "check_lock": "vcr.app.building.lock",
    "Audited": "vcr.app.building.lock",
    "audit_lock": "vcr.app.building.lock",
    "suggest_bases": "vcr.app.building.suggest",
    "Built": "vcr.build.builder",
    "BuiltStage": "vcr.build.builder",
    "Rung": "vcr.model.ladder",
    "build": "vcr.app.building.build",
    "Inspection": "vcr.app.building.inspect",
    "inspect": "vcr.app.building.inspect",
    "Configuration": "vcr.app.building.inspect",
    "configuration": "vcr.app.building.inspect",
    "graph": "vcr.app.building.graph",
    "report": "vcr.app.building.report",
    "Forward": "vcr.engines.machine",
    "Bind": "vcr.engines.container.bundle",
    "UpOptions": "vcr.app.running.start",
    "Record": "vcr.runtime.record",
    "Up": "vcr.app.running.up",
    "up": "vcr.app.running.up",
    "Listener": "vcr.app.running.up",
    "run": "vcr.app.running.up",
    "run_hot": "vcr.app.running.hot",
    "down": "vcr.app.running.up",
    "NamedVolume": "vcr.runtime.volumes",
    "volumes": "vcr.app.running.volumes",
    "remove_volumes": "vcr.app.running.volumes",
    "LogOptions": "vcr.app.running.logs",
    "logs": "vcr.app.running.logs",
    "Listed": "vcr.app.running.logs",
    "ps": "vcr.app.running.logs",
    "Answer": "vcr.runtime.exec",
    "execute": "vcr.app.running.exec",
    "read_file": "vcr.app.running.exec",
    "copy_out": "vcr.app.running.exec",
    "copy_in": "vcr.app.running.exec",
    "Request": "vcr.agent.debug",
    "Streams": "vcr.agent.session",
    "shell_request": "vcr.app.running.exec",
    "ask": "vcr.app.running.exec",
    "attach": "vcr.app.running.exec",
    "SshConfig": "vcr.app.running.exec",
    "ssh_config": "vcr.app.running.exec",
    "Profile": "vcr.perf.profile",
    "perf_record": "vcr.app.looking.perf",
    "perf_boot": "vcr.app.looking.perf",
    "perf_top": "vcr.app.looking.perf",
    "Debugger": "vcr.app.looking.gdb",
    "gdb": "vcr.app.looking.gdb",
    "Claim": "vcr.verify.ladders",
    "claim_of": "vcr.verify.ladders",
    "read_claim": "vcr.verify.ladders",
    "Source": "vcr.app.proving.verify",
    "Rebuilt": "vcr.model.stage",
    "Compared": "vcr.verify.ladders",
    "Comparison": "vcr.app.proving.verify",
    "verify": "vcr.app.proving.verify",
    "Envelope": "vcr.attest.dsse",
    "witness": "vcr.app.proving.verify",
    "verify_drive": "vcr.app.proving.verify",
    "Explanation": "vcr.app.proving.explain",
    "explain": "vcr.app.proving.explain",
    "diffoscope": "vcr.app.proving.explain",
    "KeyPair": "vcr.app.proving.attest",
    "keygen": "vcr.app.proving.attest",
    "AttestOptions": "vcr.app.proving.attest",
    "Evidence": "vcr.attest.providers",
    "Attestation": "vcr.app.proving.attest",
    "attest": "vcr.app.proving.attest",
    "Demands": "vcr.app.proving.attest_verify",
    "Verdict": "vcr.attest.checks.checker",
    "verify_statements": "vcr.app.proving.attest_verify",
    "rebuild_stated": "vcr.app.proving.attest_verify",
    "Published": "vcr.app.proving.published",
    "push_statements": "vcr.app.proving.published",
    "Manifest": "vcr.export.manifest",
    "export": "vcr.app.sharing.export",
    "serve_drive": "vcr.app.sharing.export",
    "push": "vcr.app.sharing.push",
    "write_layout": "vcr.app.sharing.push",
    "pull": "vcr.app.sharing.push",
    "CachePush": "vcr.app.sharing.cache",
    "push_to_cache": "vcr.app.sharing.cache",
    "CachedStage": "vcr.app.sharing.cache",
    "cache_info": "vcr.app.sharing.cache",
    "Pruned": "vcr.app.hosting.prune",
    "prune": "vcr.app.hosting.prune",
    "Diagnosis": "vcr.app.hosting.doctor",
    "doctor": "vcr.app.hosting.doctor",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})

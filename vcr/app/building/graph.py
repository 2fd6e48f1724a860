"""`graph`: what is built of what, and what of it is built."""

from vcr.app.context import Context, Variant
from vcr.build.builder import Builder, layer_attr
from vcr.model.plan import Plan
from vcr.model.profile import PROFILES
from vcr.model.project import Project
from vcr.report.graph import Graph, graph_of
from vcr.report.layer import layer_words
from vcr.tools.nix import Nix


def graph(context: Context, variant: Variant = Variant()) -> Graph:
    """Return the stages and layers of the project, by name, each with what it needs.

    `vcr.report.graph_svg.draw` draws it. Raises UsageError, LockError, HostError.
    """
    return graph_of_plan(context, *context.prepare(variant))


def graph_of_plan(context: Context, project: Project, plan: Plan) -> Graph:
    """Return the graph of PLAN, of PROJECT; raises HostError."""
    stages = PROFILES[plan.profile].stages(arch=plan.arch)
    attrs = [*map(layer_attr, plan.layers), *stages]
    path = Builder(context.settings, context.ui, project).write_plan(plan)
    targets = Nix(context.settings).evaluate(attrs, path).targets
    named = dict(zip([*plan.layers, *stages], targets, strict=True))
    labels = {ident: layer_words(layer)[0] for ident, layer in plan.layers.items()}
    return graph_of(named, labels)

"""What every command shares: the App object, the global options, the project argument."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from vcr.app.context import Context, Variant
from vcr.command_log import shown_to
from vcr.model.arch import Arch
from vcr.model.profile import DEFAULT, OLD_NAMES, PROFILES, current_name
from vcr.model.stage import ENGINES
from vcr.progress import Progress
from vcr.settings import Settings, variable_of
from vcr.ui import Ui


@dataclass
class App:
    """What a command works with; options fill it in before the command runs."""

    settings: Settings
    ui: Ui = field(default_factory=Ui)
    directory: Path = field(default_factory=Path)
    outside: tuple[Path, ...] = ()  # what a project may name besides its own files

    @property
    def context(self) -> Context:
        """Return what the use-cases of vcr.app work with."""
        return Context(self.directory, self.settings, self.ui, self.outside)


class Seconds(click.FloatRange):
    """A number of seconds of at least LEAST that has an end."""

    def __init__(self, least: float) -> None:
        """See click.FloatRange."""
        super().__init__(min=least, max=10 * 365 * 24 * 3600.0)

    def _describe_range(self) -> str:
        """Say in the help what matters; ten years are not worth saying."""
        return f"x>={self.min:g}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return VALUE as a number; NaN is below nothing and above nothing."""
        seconds = float(super().convert(value, param, ctx))
        if seconds != seconds:  # noqa: PLR0124 -- math is not needed for it
            self.fail(f"{value!r} is not a time", param, ctx)
        return seconds


def _app(ctx: click.Context) -> App:
    return ctx.ensure_object(App)  # the root context always carries one


def _set_directory(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _app(ctx).directory = value


def _set_verbosity(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        _app(ctx).ui.verbosity = value if param.name == "verbose" else -value


def _set_from(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        app = _app(ctx)
        app.settings = replace(app.settings, pins_from=value)


def _allow_outside(ctx: click.Context, _: click.Parameter, value: tuple[Path, ...]) -> None:
    if value:
        app = _app(ctx)
        app.outside = (*app.outside, *value)


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        _app(ctx).ui.is_json = True


def _set_progress(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        _app(ctx).ui.progress = Progress(value)


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        ui = _app(ctx).ui
        ui.is_debug = True
        ctx.with_resource(shown_to(ui.command))  # until the verb has ended


def global_options() -> list[click.Option]:
    """Return fresh copies of the options that are accepted before and after the verb."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        click.Option(
            ["-C", "--directory"], type=click.Path(path_type=Path), metavar="DIR",
            callback=_set_directory, help="The project's directory (default: here).", **shared,
        ),
        click.Option(
            ["-v", "--verbose"], count=True, callback=_set_verbosity,
            help="Show more, and the output of every step.", **shared,
        ),
        click.Option(
            ["-q", "--quiet"], count=True, callback=_set_verbosity,
            help="Show only the result.", **shared,
        ),
        click.Option(
            ["--json"], is_flag=True, callback=_set_json,
            help="Print one versioned JSON object.", **shared,
        ),
        click.Option(
            ["--progress"], type=click.Choice([p.value for p in Progress]),
            callback=_set_progress, help="How progress is shown.", **shared,
        ),
        click.Option(
            ["--from"], type=click.Path(path_type=Path, exists=True, file_okay=False),
            metavar="DIR", callback=_set_from,
            help="Use input files from here first; each is verified by its hash.", **shared,
        ),
        click.Option(
            ["--allow-outside"], type=click.Path(path_type=Path, exists=True), multiple=True,
            metavar="PATH", callback=_allow_outside,
            help="Allow vcr.toml, the lock and links to lead to this file or directory.", **shared,
        ),
        click.Option(
            ["--debug"], is_flag=True, callback=_set_debug,
            help="Show each command that runs, and tracebacks.", **shared,
        ),
    ]  # fmt: skip


class Command(click.Command):
    """A command that takes the global options after its name, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See click.Command."""
        kwargs.setdefault("context_settings", {})["help_option_names"] = ["-h", "--help"]
        super().__init__(*args, **kwargs)
        taken = {name for param in self.params for name in param.opts}
        for option in global_options():  # a verb may have another use for a letter
            option.opts = [name for name in option.opts if name not in taken]
            self.params.append(option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let each option's variable be called like the option."""
        for option in self.params:
            if isinstance(option, click.Option) and ctx.auto_envvar_prefix:
                option.envvar = variable_of(ctx.auto_envvar_prefix, option.opts)
        return super().parse_args(ctx, args)


class Group(click.Group):
    """A verb of several commands, which takes the global options before their names, too."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See click.Group."""
        kwargs.setdefault("context_settings", {})["help_option_names"] = ["-h", "--help"]
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())


def project_argument[F: Callable[..., object]](function: F) -> F:
    """Add the optional positional DIR, which wins over -C."""

    def choose(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            _app(ctx).directory = value

    return click.argument(
        "project",
        metavar="[DIR]",
        required=False,
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=choose,
    )(function)


class ProfileName(click.Choice):
    """The name of a profile; an old one is taken, with a warning."""

    def __init__(self) -> None:
        super().__init__(tuple(PROFILES))

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name that the profile has now."""
        if value in OLD_NAMES and ctx is not None:
            new = current_name(str(value))
            _app(ctx).ui.warn(f"the profile {value} is now called {new}: use --profile {new}")
            value = new
        return str(super().convert(value, param, ctx))


profile_option = click.option(
    "--profile", type=ProfileName(), default=DEFAULT, help="The profile to build."
)


engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="The engine that runs a prod machine, instead of vcr.toml's.",
)


def variant_of(
    profile: str, arch: str | None = None, engine: str | None = None, target: str | None = None
) -> Variant:
    """Return the variant that the options of a verb name."""
    return Variant(profile, None if arch is None else Arch(arch), engine, target)


arch_option = click.option(
    "--arch",
    type=click.Choice([arch.value for arch in Arch]),
    help="Architecture of the image and its machine: default riscv64, or this host's for the "
    "profile dev. prod machines are riscv64.",
)


def plan_options[F: Callable[..., object]](function: F) -> F:
    """Add --profile and --arch, which decide what is planned."""
    return profile_option(arch_option(function))

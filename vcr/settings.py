"""The one door to the environment: where vcr keeps files and how it shows progress.

Read once at start; everything below the command line gets a Settings and never
looks at os.environ. Ambient values never reach a build (see `vcr.process`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Variables a child program may inherit. Everything else is dropped, so that no
# ambient value can change bytes; clients keep what they need to reach a network.
INHERITED = frozenset(
    {
        "HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "TERM", "XDG_RUNTIME_DIR",
        "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME",
        "NIX_CONFIG", "NIX_PATH", "NIX_REMOTE", "NIX_SSL_CERT_FILE", "NIX_STATE_DIR",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GOPROXY", "GONOSUMDB", "GOSUMDB",
        "REGISTRY_AUTH_FILE",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST",
        "PIP_INDEX_URL", "PIP_CERT", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "NPM_CONFIG_REGISTRY",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Directories follow the XDG Base Directory Specification 0.8."""

    cache_dir: Path
    state_dir: Path
    runtime_dir: Path
    pins_from: Path | None  # directory of files brought by hand (VCR_FROM)
    # (prefix, replacement): nearer places to ask while locking (VCR_MIRRORS)
    mirrors: tuple[tuple[str, str], ...]
    substituters: tuple[str, ...]  # binary caches to take from (VCR_SUBSTITUTERS)
    trusted_keys: tuple[str, ...]  # whose signatures count (VCR_TRUSTED_KEYS)
    ci: bool
    no_color: bool  # https://no-color.org
    force_color: bool
    env: Mapping[str, str]  # the allow-listed environment for child programs

    @property
    def terminal(self) -> str:
        """Return the type of the user's terminal, as TERM has it."""
        return self.env.get("TERM") or "xterm"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment (or ENVIRON, for tests)."""
        source = os.environ if environ is None else environ
        home = Path(source.get("HOME") or "/")
        state = _xdg(source, "XDG_STATE_HOME", home / ".local/state") / "vcr"
        runtime = source.get("XDG_RUNTIME_DIR", "")
        return cls(
            cache_dir=_xdg(source, "XDG_CACHE_HOME", home / ".cache") / "vcr",
            state_dir=state,
            runtime_dir=Path(runtime) / "vcr" if runtime.startswith("/") else state / "run",
            pins_from=Path(source["VCR_FROM"]) if source.get("VCR_FROM") else None,
            mirrors=_pairs(source.get("VCR_MIRRORS", "")),
            substituters=tuple(source.get("VCR_SUBSTITUTERS", "").split()),
            trusted_keys=tuple(source.get("VCR_TRUSTED_KEYS", "").split()),
            ci=source.get("CI", "") not in {"", "0", "false"},
            no_color=bool(source.get("NO_COLOR")),
            force_color=bool(source.get("FORCE_COLOR")),
            env={name: source[name] for name in sorted(INHERITED & source.keys())},
        )

    def colour(self, is_terminal: bool) -> bool:  # noqa: FBT001
        """Decide whether a stream gets colours."""
        return not self.no_color and (self.force_color or is_terminal)


def variable_of(prefix: str, names: Sequence[str]) -> str:
    """Return the variable of an option with NAMES of the command with PREFIX: by the longest."""
    return f"{prefix}_{max(names, key=len).lstrip('-').upper().replace('-', '_')}"


def without_legacy_ciphers() -> None:
    """Keep `cryptography` from loading OpenSSL's legacy module, a file of the host."""
    os.environ["CRYPTOGRAPHY_OPENSSL_NO_LEGACY"] = "1"


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read PREFIX=REPLACEMENT words; an invalid word is ignored."""
    words = (word.partition("=") for word in text.split())
    return tuple((prefix, replacement) for prefix, equals, replacement in words if equals)


def ambient(name: str) -> str | None:
    """Return the variable NAME of this process, which the user names; None if it is not set."""
    return os.environ.get(name)


def _xdg(source: Mapping[str, str], name: str, default: Path) -> Path:
    """Per the specification a relative XDG path is invalid and is ignored."""
    value = source.get(name, "")
    return Path(value) if value.startswith("/") else default

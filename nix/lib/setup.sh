# Sourced by bin/vcr and bin/test: makes sure Nix is there and set up, and brings
# outputs of the flake into the store. Needs $root, the repository. POSIX sh.

: "${root:?the directory of the repository}"

stop() { # CODE WHAT WHY FIX
  printf 'error: %s\n  why: %s\n  fix: %s\n' "$2" "$3" "$4" >&2
  exit "$1"
}

# Debian's Nix where there is one; elsewhere the user decides how to install it.
ensure_nix() {
  PATH=$PATH:/nix/var/nix/profiles/default/bin:$HOME/.nix-profile/bin
  if command -v nix > /dev/null; then return; fi
  command -v apt-get > /dev/null || stop 5 "Nix is not installed" "vcr builds everything with Nix" \
    "install it: sh <(curl -L https://nixos.org/nix/install) --daemon"
  [ "$(id -u)" = 0 ] || stop 5 "Nix is not installed" "installing it takes root" \
    "sudo apt-get install --no-install-recommends nix-bin, then sudo install -d -o $(id -un) /nix"
  echo "installing Nix (package nix-bin)" >&2
  install='apt-get install -y -q --no-install-recommends ca-certificates nix-bin'
  DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
  if $install > /dev/null 2>&1; then return; fi
  apt-get update -q > /dev/null
  if $install > /dev/null; then return; fi
  stop 5 "Nix could not be installed" "apt-get failed" "run: apt-get update && $install"
}

ensure_store() {
  [ "$(id -u)" != 0 ] && [ ! -S /nix/var/nix/daemon-socket/socket ] || return 0
  [ -w /nix ] || stop 5 "/nix is not yours to write" "there is no Nix daemon, so Nix writes it as you" \
    "sudo install -d -o $(id -un) /nix"
}

# A cache the user set up is used; without one Nix asks nobody.
has_substituters() {
  case ${NIX_CONFIG:-} in *substituters*) return 0 ;; esac
  grep -qs '^[[:space:]]*\(extra-\)\{0,1\}substituters' /etc/nix/nix.conf \
    "${XDG_CONFIG_HOME:-$HOME/.config}/nix/nix.conf"
}

words() { printf '%s' "$1" | tr -s '[:space:]' ' '; }

configure_nix() {
  config='experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
sandbox-paths =
require-sigs = true
warn-dirty = false'
  # sandbox-fallback: the default silently drops the sandbox where it cannot be made.
  # sandbox-paths: Debian's Nix would put a shell of the host into every sandbox.
  if [ "$(id -u)" = 0 ] && ! getent group nixbld > /dev/null; then
    config="$config
build-users-group ="
  fi
  if ! has_substituters; then
    config="$config
substituters ="
  fi
  # Caches for vcr alone: what they offer needs a signature by one of these keys. On one line
  # each: another one would be a setting of its own.
  config="$config
${VCR_SUBSTITUTERS:+extra-substituters = $(words "$VCR_SUBSTITUTERS")}
${VCR_TRUSTED_KEYS:+extra-trusted-public-keys = $(words "$VCR_TRUSTED_KEYS")}"
  # Last, so that no setting of the environment takes the sandbox away.
  NIX_CONFIG="${NIX_CONFIG:-}
$config"
  export NIX_CONFIG
}

# have ATTR...: builds attributes of nix/default.nix, filling missing pins first. GC roots
# named by the hash of everything that decides what they are make it free when
# there is nothing to do.
have() {
  key=$(cd "$root" && find flake.nix nix vcr/model/board.json -type f | sort | xargs cat | sha256sum | cut -c1-16)
  roots=${XDG_STATE_HOME:-$HOME/.local/state}/vcr/roots/toolchain-$key
  missing=
  for attr; do
    [ -e "$roots/$attr" ] || missing="$missing $attr"
  done
  [ -n "$missing" ] || return 0
  (umask 077; mkdir -p "$roots")
  # shellcheck disable=SC2086 # a list of words
  nix build -f "$root/nix/default.nix" $missing --dry-run 2>&1 | sed -n 's,^ *\(/nix/store/.*\.drv\)$,\1,p' | "$root/nix/pins/fill"
  for attr in $missing; do
    nix build -f "$root/nix/default.nix" "$attr" --out-link "$roots/$attr"
  done >&2
}

umask 022 # nobody else writes what is made here, whatever it was
export HOME="${HOME:-/}"
ensure_nix
ensure_store
configure_nix

#!/bin/sh
# Checks this export with stock tools only: sh verify.sh [sha256:DIGEST]
#
# DIGEST is that of manifest.json, told by somebody you trust. Without it this says
# that the files belong together, not whose they are.
# Exit codes: 0 every byte is as exported, 3 something differs, 5 a tool is missing.
set -eu
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH

fail() {
  # Names that somebody else chose: none of them steers the terminal.
  printf 'FAILED: %s\n' "$*" | sed 's/[^ -~]/?/g' >&2
  exit 3
}

need() { # PROGRAM PACKAGE
  command -v "$1" > /dev/null && return
  printf 'FAILED: cannot check without %s (package %s)\n' "$1" "$2" >&2
  exit 5
}

value() { # KEY: of verity.json
  sed -n 's/^ "'"$1"'": "\{0,1\}\([0-9a-z-]*\)"\{0,1\},\{0,1\}$/\1/p' verity.json
}

cd "$(dirname "$0")"
need sha256sum coreutils
[ -f manifest.json ] || fail "there is no manifest.json"
digest=sha256:$(sha256sum < manifest.json | cut -d ' ' -f 1)
if [ $# -gt 0 ] && [ "$1" != "$digest" ]; then
  fail "manifest.json is $digest, not $1"
fi

# HASH, two spaces, PATH: what sha256sum reads. Paths have no character that needs quoting.
listed=$(sed -n 's/^  {"path": "\([A-Za-z0-9._/-]*\)", "sha256": "\([0-9a-f]\{64\}\)", "size": [0-9]*},\{0,1\}$/\2  \1/p' manifest.json)
[ -n "$listed" ] || fail "manifest.json lists no files"
[ "$(printf '%s\n' "$listed" | wc -l)" -eq "$(grep -c '"path"' manifest.json)" ] ||
  fail "manifest.json has lines that are not understood"

expected=$({ echo manifest.json; printf '%s\n' "$listed" | cut -c 67-; } | sort)
present=$(find . ! -type d | sed 's,^\./,,' | sort)
[ "$expected" = "$present" ] || fail "there are files too many or too few:
$(printf '%s\n%s\n' "$expected" "$present" | sort | uniq -u)"
others=$(find . ! -type d ! -type f)
[ -z "$others" ] || fail "links, or other things that are not files: $others"
said=$(printf '%s\n' "$listed" | sha256sum -c - 2>&1) ||
  fail "changed: $(printf '%s\n' "$said" | grep -v ': OK$')"

if [ -f drive ]; then
  need veritysetup cryptsetup-bin
  root=$(value root_hash)
  [ -n "$root" ] || fail "verity.json has no root hash"
  grep -q "^   \"digest\": \"sha256:$root\",\$" ladder.json ||
    fail "the root hash of verity.json is no rung of ladder.json"
  # The superblock on the drive is not trusted; the tree begins one block behind it.
  block=$(value hash_block_size)
  veritysetup verify drive drive "$root" --no-superblock --format=1 \
    --hash="$(value algorithm)" --salt="$(value salt)" \
    --data-block-size="$(value data_block_size)" --hash-block-size="$block" \
    --data-blocks="$(value data_blocks)" \
    --hash-offset="$(($(value hash_offset) + block))" ||
    fail "the drive is not the one with the root hash $root"
  printf 'sealed    sha256:%s\n' "$root"
fi
printf 'manifest  %s\n' "$digest"
[ $# -gt 0 ] || echo "the files belong together; compare the digest with one you trust" >&2

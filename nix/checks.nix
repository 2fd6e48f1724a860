# What `nix flake check` builds: every tool starts, and the fast tests pass in the
# sandbox. The tests that drive Nix and QEMU run through bin/test.
{ toolchain }:
let
  inherit (toolchain) run goRun test build git go nbd nbd-client oci verify linuxkit python;
  boards = builtins.attrValues toolchain.boards;
  repository = builtins.path {
    path = ../.;
    name = "vcr-repository";
    filter =
      file: _:
      !(builtins.elem (baseNameOf file) [ ".git" "__pycache__" "result" ".hypothesis" ]);
  };
  program = { name, tags ? "" }: goRun {
    name = "vcr-check-${name}";
    source = builtins.path { path = ../guest + "/${name}"; inherit name; };
  } ''
    test -z "$(${go}/usr/lib/go-1.24/bin/gofmt -l .)"
    for tags in "" ${tags}; do
      go vet -tags "$tags" .
      go test -tags "$tags" .
    done
    touch $out
  '';
in
{
  tools = run {
    name = "vcr-check-tools";
    path = [ python build git go nbd nbd-client oci verify linuxkit ]
      ++ map (board: toolchain.${board.toolset}) boards;
  } ''
    export HOME=/tmp
    python3 -I -c 'import click, pydantic, rich'
    mksquashfs -version | head -n 1
    for tool in veritysetup git nbdkit nbdcopy nbdinfo skopeo umoci xz zstd gpgv \
      ${toString (map (board: board.program) boards)}; do
      $tool --version | head -n 1
    done
    linuxkit version
    ${go}/usr/lib/go-1.24/bin/go version
    touch $out
  '';
  # The programs of the guest: vetted, and tried on all that fuzzing has found.
  agent = program { name = "agent"; tags = "debug"; };
  asker = program { name = "attest"; };
  loader = program { name = "loader"; };
  sampler = program { name = "sampler"; };
  step = program { name = "step"; };
  tests = run { name = "vcr-check-tests"; path = [ test ]; } ''
    cp -r ${repository} /tmp/vcr
    chmod -R u+w /tmp/vcr
    cd /tmp/vcr
    export HOME=/tmp PYTHONDONTWRITEBYTECODE=1
    python3 -m pytest -q tests/unit
    touch $out
  '';
}

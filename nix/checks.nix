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
  # Rules that Python has, too, are tried on the same vectors.
  vectors = builtins.path { path = ../tests/vectors; name = "vcr-vectors"; };
  program = name: goRun {
    name = "vcr-check-${name}";
    source = builtins.path { path = ../guest + "/${name}"; inherit name; };
    env.VCR_VECTORS = vectors;
  } ''
    PATH=$PATH:${go}/usr/lib/go-1.24/bin
    for what in lint test; do sh ${../guest/check} $what .; done
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
  # The programs of the guest, as guest/check has it.
  agent = program "agent";
  asker = program "attest";
  loader = program "loader";
  sampler = program "sampler";
  step = program "step";
  tests = run { name = "vcr-check-tests"; path = [ test ]; } ''
    cp -r ${repository} /tmp/vcr
    chmod -R u+w /tmp/vcr
    cd /tmp/vcr
    export HOME=/tmp PYTHONDONTWRITEBYTECODE=1
    python3 -m pytest -q tests/unit
    touch $out
  '';
}

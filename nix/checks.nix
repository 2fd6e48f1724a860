# What `nix flake check` builds: every tool starts, and the fast tests pass in the
# sandbox. The tests that drive Nix and QEMU run through bin/test.
{ toolchain }:
let
  inherit (toolchain) run goRun test build git go nbd nbd-client oci qemu-riscv qemu-x86 qemu-arm verify linuxkit python;
  repository = builtins.path {
    path = ../.;
    name = "vcr-repository";
    filter =
      file: _:
      !(builtins.elem (baseNameOf file) [ ".git" "__pycache__" "result" ".hypothesis" ]);
  };
  # The tests of a program of guest/.
  goTests =
    name:
    goRun {
      name = "vcr-check-${name}";
      source = builtins.path { path = ../guest + "/${name}"; inherit name; };
    } ''
      go vet .
      go test .
      touch $out
    '';
in
{
  tools = run {
    name = "vcr-check-tools";
    path = [ python build git go nbd nbd-client oci qemu-riscv qemu-x86 qemu-arm verify linuxkit ];
  } ''
    export HOME=/tmp
    python3 -I -c 'import click, pydantic, rich'
    mksquashfs -version | head -n 1
    for tool in veritysetup git nbdkit nbdcopy nbdinfo skopeo umoci xz zstd gpgv \
      qemu-system-riscv64 qemu-system-x86_64 qemu-system-aarch64; do
      $tool --version | head -n 1
    done
    linuxkit version
    ${go}/usr/lib/go-1.24/bin/go version
    touch $out
  '';
  loader = goTests "loader";
  agent = goTests "agent";
  asker = goTests "attest";
  tests = run { name = "vcr-check-tests"; path = [ test ]; } ''
    cp -r ${repository} /tmp/vcr
    chmod -R u+w /tmp/vcr
    cd /tmp/vcr
    export HOME=/tmp PYTHONDONTWRITEBYTECODE=1
    python3 -m pytest -q tests/unit
    touch $out
  '';
}

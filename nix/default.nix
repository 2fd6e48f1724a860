# Everything vcr builds with and, given a plan, everything it builds. Used by the
# flake and, at run time, by `vcr` itself:
#   nix build -f nix --argstr plan FILE image rootfs squashfs kernel vm
{ system ? builtins.currentSystem, plan ? null }:
let
  pins = import ./pins.nix { inherit (bootstrap) fetch; };
  bootstrap = import ./bootstrap.nix { inherit system pins; };
  deb = import ./deb.nix { inherit bootstrap pins; };
  toolsets = import ./toolsets.nix { inherit bootstrap deb pins; };
  toolchain = bootstrap // toolsets // {
    inherit linux pins goRun;
    linuxkit = import ./linuxkit.nix { inherit bootstrap toolsets pins goRun; };
    kernels = {
      riscv64 = linux { arch = "riscv64"; config = [ ./kernel/base.config ./kernel/riscv64.config ]; };
      # Of build machines and of dev in a VM. QEMU starts an ELF file of x86 as it is:
      # nothing to unpack.
      amd64 = linux {
        arch = "amd64";
        config = [ ./kernel/base.config ./kernel/amd64.config ];
        image = "vmlinux";
      };
      enclave = linux {
        arch = host;
        config = [ ./kernel/enclave.config (./kernel + "/enclave-${host}.config") ];
      };
    };
    # Ours where there is one. A function of the target alone: every host boots the same.
    kernelOf = arch: if arch == "arm64" then "debian" else "vcr";
    step = guestProgram "step"; # /init of build machines
    emulator = import ./cartesi.nix { inherit bootstrap pins; };
    loader = guestProgram "loader"; # /init of enclaves
    agent = guestProgram "agent"; # in every machine that runs an app
    asker = guestProgram "attest"; # vcr-attest, in the container of every such app
    plugin = import ./plugin.nix { inherit bootstrap toolsets; };
    sampler = guestProgram "sampler" "riscv64"; # brought into a machine by `vcr perf`
    debugAgent = import ./guest-program.nix { inherit goRun; tags = "debug"; } "agent";
  };
  linux = import ./kernel.nix { inherit bootstrap toolsets pins; };
  host = bootstrap.platform.arch;
  guestProgram = import ./guest-program.nix { inherit goRun; };
  goRun = import ./lib/go.nix { inherit bootstrap; inherit (toolsets) go; };
  stages = import ./stages {
    inherit toolchain;
    plan = builtins.fromJSON (builtins.readFile plan);
  };
in
toolchain
// {
  vcr = import ./vcr.nix { inherit toolchain; };
  devShell = import ./devshell.nix { inherit toolchain; };
  checks = import ./checks.nix { inherit toolchain; };
}
// (if plan == null then { } else stages)

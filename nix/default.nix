# Everything vcr builds with and, given a plan, everything it builds. Used by the
# flake and, at run time, by `vcr` itself:
#   nix build -f nix --argstr plan FILE image rootfs squashfs kernel vm
{ system ? builtins.currentSystem, plan ? null }:
let
  # QEMU's boards, by architecture, as vcr/model/board.py says. Without the context that a file
  # in the store has: nothing is made of it.
  boards = builtins.fromJSON (
    builtins.unsafeDiscardStringContext (builtins.readFile ../vcr/model/board.json)
  );
  pins = import ./pins.nix { inherit (bootstrap) fetch; inherit boards; };
  bootstrap = import ./bootstrap.nix { inherit system pins; };
  deb = import ./deb.nix { inherit bootstrap pins; };
  toolsets = import ./toolsets.nix { inherit bootstrap boards deb pins; };
  toolchain = bootstrap // toolsets // {
    inherit boards linux pins goRun;
    emulators = builtins.listToAttrs (
      map (name: { inherit name; value = toolsets.${name}; })
        (map (board: board.toolset) (builtins.attrValues boards))
    );
    linuxkit = import ./linuxkit.nix { inherit bootstrap toolsets pins goRun; };
    # Of machines of an architecture, and of this host's enclaves.
    kernels = builtins.mapAttrs (
      arch: board: linux {
        inherit board;
        # "": what enclaves boot, too.
        image = if board.image == "" then board.enclave_image else board.image;
        name = arch;
        config = [ ./kernel/base.config (./kernel + "/${arch}.config") ];
      }
    ) boards // {
      enclave = linux {
        name = host;
        board = boards.${host};
        image = boards.${host}.enclave_image;
        config = [ ./kernel/enclave.config (./kernel + "/enclave-${host}.config") ];
      };
    };
    step = guestProgram "step"; # /init of build machines
    # Of those that open a shell.
    shellStep = import ./guest-program.nix { inherit goRun; tags = "shell"; } "step";
    emulator = import ./cartesi.nix { inherit bootstrap pins; };
    loader = guestProgram "loader"; # /init of enclaves
    agent = guestProgram "agent"; # in every machine that runs an app
    asker = guestProgram "attest"; # vcr-attest, in the container of every such app
    plugin = import ./plugin.nix { inherit bootstrap toolsets; };
    samplers = builtins.mapAttrs (arch: _: guestProgram "sampler" arch) boards; # for `vcr perf`
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

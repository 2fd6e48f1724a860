# The root file system: linuxkit lays our init and the app's bundle into one tree.
# Output: root.tar (normalised), rungs.json.
{ toolchain, plan, sandbox, guest, image, ... }:
let
  inherit (plan.machine) debug;
  agent = if debug then toolchain.debugAgent else toolchain.agent;
  sets = [ "guest" ] ++ (if debug then [ "guest-debug" ] else [ ]);
in
toolchain.run {
  name = "vcr-rootfs-${plan.name}";
  job = builtins.toJSON {
    inherit (plan) arch epoch;
    machine = {
      inherit debug;
      inherit (plan.machine) health ports writable;
      inherit (toolchain.boards.${plan.arch}) powers_off;
    };
    inherit (plan.image) config;
    layout = "${image}/layout";
    debs = builtins.concatMap (toolchain.pins.debs plan.arch) sets;
    agent = "${agent plan.arch}/agent";
    asker = "${toolchain.asker plan.arch}/attest";
    inittab = guest "inittab";
    scripts = builtins.listToAttrs (
      map (name: { inherit name; value = guest name; }) [ "boot" "lib" "network" "services" ]
    );
  };
  finish = builtins.toJSON { inherit (plan) epoch; tar = "/tmp/linuxkit.tar"; };
  passAsFile = [ "job" "finish" ];
} ''
  mkdir /tmp/work
  ${sandbox.call { module = "rootfs"; entry = "prepare"; } "$jobPath" "/tmp/work"}
  # --no-sbom: the SBOM has a random UUID in it
  HOME=/tmp TMPDIR=/tmp ${toolchain.linuxkit}/usr/bin/linuxkit build --cache /tmp/work/cache \
    --format tar --arch ${plan.arch} --no-sbom --o /tmp/linuxkit.tar /tmp/work/linuxkit.yml
  ${sandbox.call { module = "rootfs"; entry = "finish"; } "$finishPath" "$out"}
''

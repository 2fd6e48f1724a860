# The image: one derivation a layer, then an OCI layout of them.
# Layer output: layer.tar. Image output: layout/ (OCI layout, its layers are links), rungs.json.
{ toolchain, plan, sandbox, ... }:
let
  layerFile = id: "${layers.${id}}/layer.tar";

  # Only the files a COPY names are imported, so that no other file's change matters. By their
  # hash, which vcr knows: what the store has already is neither read nor filtered again.
  contextFiles =
    source:
    let
      # With the directories on the way to them, which have to be entered.
      wanted = builtins.listToAttrs (map (name: { inherit name; value = true; }) source.files);
      root = toString plan.context;
      relative = file: builtins.substring (builtins.stringLength root + 1) (-1) (toString file);
    in
    builtins.path {
      path = plan.context;
      name = "context";
      sha256 = source.nar;
      filter = file: _: wanted ? ${relative file};
    };

  fetched =
    file:
    if file.data != "" then
      held file
    else
      toolchain.fetch {
        inherit (file) name;
        url = if file.url == "" then "nowhere:${file.name}" else file.url;
        hash = file.sha256;
      };

  # A file that the lock holds itself, because its address may hold another one by now.
  held =
    file:
    toolchain.run {
      inherit (file) name data;
      passAsFile = [ "data" ];
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = file.sha256;
    } "base64 -d < $dataPath | gunzip > $out";

  # What Nix cannot fetch. vcr has put it into the store before Nix looks for it; the
  # error is in the form of vcr/formats/failure.py.
  provided = what: hash: {
    inherit (toolchain) system;
    builder = "${toolchain.busybox}/bin/sh";
    args = [ "-c" "printf 'vcr-error: %s\\n' \"$report\" >&2; exit 1" ];
    report = builtins.toJSON {
      what = "${what} is not in the Nix store";
      why = "it is taken from there by hash";
      fix = "run `vcr lock`";
      code = "";
    };
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = hash;
  };

  # The blobs of a locked OCI image by digest, and what ADD takes of a git repository.
  ociBlobs =
    spec:
    builtins.mapAttrs (
      digest: _:
      derivation (
        provided "${digest} of the image ${spec.reference}" (builtins.substring 7 64 digest)
        // { name = "vcr-oci-blob"; outputHashMode = "flat"; }
      )
    ) spec.blobs;
  gitTree =
    spec:
    derivation (provided "${spec.commit} of ${spec.remote}" spec.nar_sha256 // { name = "vcr-git-tree"; });

  # Sources of a COPY, and where they are.
  sourceOf =
    source:
    {
      context = { inherit (source) kind kept name path; context = contextFiles source; };
      stage = { inherit (source) kind pattern pivot; layers = map layerFile source.layers; };
      inline = { inherit (source) kind name content; };
      url = { inherit (source) checksum kind name unpack; file = fetched source.file; };
      git = { inherit (source) kind; tree = gitTree source; };
    }.${source.kind};

  machine = import ../lib/machine.nix { inherit toolchain sandbox; };
  machineWithShell = import ../lib/machine.nix { inherit toolchain sandbox; shell = true; };
  mksquashfs = "${toolchain.build}/usr/bin/mksquashfs";

  # Every list of layers that is below some RUN, by the ids in it, as overlayfs takes it.
  lowers =
    let
      runs = builtins.filter (spec: spec.op == "run") (builtins.attrValues plan.layers);
      beginnings = ids: builtins.genList (n: take (n + 1) ids) (builtins.length ids);
    in
    builtins.listToAttrs (
      map (ids: { name = key ids; value = lower ids; }) (builtins.concatMap (run: beginnings run.lower) runs)
    );
  key = builtins.toJSON;
  take = n: ids: builtins.genList (builtins.elemAt ids) n;
  lower =
    ids:
    let
      last = builtins.length ids - 1;
      below = lowers.${key (take last ids)};
    in
    sandbox.build {
      name = "vcr-lower";
      module = "lower";
      job = {
        inherit (plan) epoch;
        inherit mksquashfs;
        layer = layerFile (builtins.elemAt ids last);
        skeleton = if last == 0 then "" else "${below}/skeleton.json";
      };
    };

  # What a `RUN --mount` shows: a squashfs, or "" for an empty directory.
  mounted =
    mount:
    let
      isStage = mount.source.kind == "stage";
      shown = sandbox.build {
        name = "vcr-mounted";
        module = "mounted";
        job = {
          inherit (plan) epoch;
          inherit mksquashfs;
          layers = if isStage then map layerFile mount.source.layers else [ ];
          context = if isStage then "" else contextFiles mount.source;
        };
      };
    in
    if mount.carried_from != "" then
      "${layers.${mount.carried_from}}/caches/${mount.carry}.squashfs"
    else if mount.source != null then
      "${shown}/mounted.squashfs"
    else
      "";

  # A stage of another platform is emulated: KVM runs machines of the host's architecture.
  byKvm = spec: plan.build.kvm && spec.arch == plan.arch;
  runJob = machine: spec: {
    inherit (plan) epoch;
    inherit (plan.build) normalize;
    kvm = byKvm spec;
    inherit mksquashfs;
    spec = removeAttrs spec [ "arch" "bodies" "lower" "origin" ] // {
      mounts = map (mount: removeAttrs mount [ "source" "carried_from" ]) spec.mounts;
    };
    lower = map (ids: "${lowers.${key ids}}/lower.squashfs") (
      builtins.genList (n: take (n + 1) spec.lower) (builtins.length spec.lower)
    );
    mounts = map mounted spec.mounts;
    bodies = builtins.listToAttrs (
      map (file: { name = file.sha256; value = fetched file; }) spec.bodies
    );
    machine = machine spec.arch // { inherit (plan.build) disk_mib memory_mib; };
  };

  # How each operation makes its layer. A job has what the layer's bytes depend on, and no more:
  # not fetch details, other layers' names, the line of the Dockerfile.
  made =
    spec:
    let
      # A base depends on no code that copies, so that a change there rebuilds none.
      base = essential: {
        name = "vcr-layer-base";
        module = "base";
        job = { inherit (plan) epoch; inherit (spec) arch; spec = { inherit (spec) op; } // essential; };
      };
      change = essential: {
        module = "layer";
        job = {
          inherit (plan) epoch;
          spec = { inherit (spec) op; } // essential;
          lower = map layerFile spec.lower;
        };
      };
    in
    {
      debs = base { inherit (spec) configure apt_sources; debs = map fetched spec.debs; };
      oci = base {
        inherit (spec) manifest;
        blobs = ociBlobs spec;
        zstd = "${toolchain.build}/usr/bin/zstd";
      };
      copy = change {
        inherit (spec) dest chown chmod exclude parents link extract;
        sources = map sourceOf spec.sources;
      } // { name = "vcr-layer-copy"; };
      additions = {
        name = "vcr-layer-additions";
        module = "bases.additions";
        job = {
          inherit (plan) epoch;
          inherit (spec) files links users;
          lower = map layerFile spec.lower;
        };
      };
      workdir = change { inherit (spec) path owner; } // { name = "vcr-layer-workdir"; };
      run = {
        name = "vcr-layer-run";
        module = "run";
        job = runJob machine spec;
        features = if byKvm spec then [ "kvm" ] else [ ];
      };
    }.${spec.op};
  layers = builtins.mapAttrs (_: spec: sandbox.build (made spec)) plan.layers;

  # A target whose evaluation says on stderr what each layer is in the store, in the order of their
  # ids: vcr follows the build of each instruction by it, and evaluates no second time for that.
  announcing = target: target // {
    drvPath = builtins.trace "vcr-layers: ${builtins.toJSON (
      map (layer: [ layer.drvPath layer.outPath ]) (builtins.attrValues layers)
    )}" target.drvPath;
  };

  # The job of a RUN by itself: for `vcr lock`, which carries it out with a network, and for
  # `vcr build --debug-shell`, which does so with a terminal.
  jobOf =
    machine: _: spec:
    toolchain.run {
      name = "vcr-run-job";
      job = builtins.toJSON (runJob machine spec);
      passAsFile = [ "job" ];
    } "cp $jobPath $out";
in
announcing (sandbox.build {
  name = "vcr-image-${plan.name}";
  module = "image";
  job = {
    inherit (plan) arch epoch name;
    inherit (plan.image) author config;
    layers = map layerFile plan.image.layers;
  };
})
// {
  layers = builtins.mapAttrs (_: announcing) layers;
  jobs = builtins.mapAttrs (id: spec: announcing (jobOf machine id spec)) plan.layers;
  shells = builtins.mapAttrs (id: spec: announcing (jobOf machineWithShell id spec)) plan.layers;
}

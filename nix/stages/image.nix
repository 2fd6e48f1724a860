# The image: one derivation a layer, then an OCI layout of them.
# Layer output: layer.tar. Image output: layout/ (OCI layout), rungs.json.
{ toolchain, plan, sandbox, ... }:
let
  layerFile = id: "${layers.${id}}/layer.tar";

  # Only the files a COPY names are imported, so that no other file's change matters.
  contextFiles =
    source:
    let
      wanted = builtins.listToAttrs (map (name: { inherit name; value = true; }) source.files);
      root = toString plan.context;
      relative = file: builtins.substring (builtins.stringLength root + 1) (-1) (toString file);
      # A directory on the way to a wanted file has to be entered, too.
      parents = builtins.listToAttrs (
        builtins.concatMap (file: map (name: { inherit name; value = true; }) (ancestors file)) source.files
      );
      all = wanted // parents;
    in
    builtins.path {
      path = plan.context;
      name = "context";
      filter = file: _: all ? ${relative file};
    };

  ancestors =
    file:
    let
      parts = builtins.filter builtins.isString (builtins.split "/" file);
      count = builtins.length parts;
      prefix = n: builtins.concatStringsSep "/" (builtins.genList (builtins.elemAt parts) n);
    in
    map prefix (builtins.genList (n: n + 1) (count - 1));

  fetched = file: toolchain.fetch { inherit (file) name url; hash = file.sha256; };

  # A locked OCI image. vcr has put it into the store before Nix looks for it; the
  # error is in the form of vcr/sandbox/failure.py.
  ociLayout =
    spec:
    derivation {
      name = "vcr-oci-layout";
      inherit (toolchain) system;
      builder = "${toolchain.busybox}/bin/sh";
      args = [ "-c" "printf 'vcr-error: %s\\n' \"$report\" >&2; exit 1" ];
      report = builtins.toJSON {
        what = "the image ${spec.reference} is not in the Nix store";
        why = "its layout is taken from there by hash";
        fix = "run `vcr lock`";
      };
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
      outputHash = spec.nar_sha256;
    };

  inputOf =
    source:
    {
      context = contextFiles source;
      stage = map layerFile source.layers;
      inline = "";
      url = fetched source.file;
    }.${source.kind};

  inputs =
    spec:
    {
      debs = map fetched spec.debs;
      oci = [ (ociLayout spec) ];
      copy = map inputOf spec.sources;
      workdir = [ ];
    }.${spec.op} or (throw "layers of kind ${spec.op} cannot be built yet");

  # What a layer's bytes depend on. Not: fetch details, other layers' names, the line
  # of the Dockerfile.
  essential =
    spec:
    removeAttrs spec [ "debs" "lower" "nar_sha256" "origin" "reference" ]
    // (if spec ? sources then { sources = map (s: removeAttrs s [ "files" "layers" "file" ]) spec.sources; } else { });

  isBase = spec: builtins.elem spec.op [ "debs" "oci" ];

  layers = builtins.mapAttrs (
    _: spec:
    sandbox.build {
      name = "vcr-layer-${spec.op}";
      # A base depends on no code that copies, so that a change there rebuilds none.
      module = if isBase spec then "base" else "layer";
      modules = if isBase spec then [ "debs" ] else [ "chmod" "copy" "match" ];
      job = {
        inherit (plan) arch epoch;
        spec = essential spec;
        lower = map layerFile (spec.lower or [ ]);
        inputs = inputs spec;
      };
    }
  ) plan.layers;
in
sandbox.build {
  name = "vcr-image-${plan.name}";
  module = "image";
  job = {
    inherit (plan) arch epoch name;
    inherit (plan.image) config;
    layers = map layerFile plan.image.layers;
  };
}
// { inherit layers; } # to tell which line of the Dockerfile a failed layer is

# Runs builders of vcr/sandbox: `module`.main(specification, $out). Only the listed
# modules are taken, so that changing one stage's builder rebuilds no other stage.
{ toolchain }:
let
  directory = ../../vcr/sandbox;
  shared = [
    "__init__.py" "failure.py" "oci.py" "packed.py" "rungs.py" "tar.py" "tree.py" "users.py"
  ];
  sources = modules: builtins.path {
    path = directory;
    name = "vcr-sandbox";
    filter = file: _: builtins.elem (baseNameOf file) (shared ++ map (m: "${m}.py") modules);
  };

  # Shell text that runs `entry` of a module on a specification file.
  call = { module, entry ? "main", modules ? [ ] }: specification: out: ''
    rm -rf /tmp/lib
    mkdir /tmp/lib
    ln -s ${sources ([ module ] ++ modules)} /tmp/lib/vcr_sandbox
    ${toolchain.python}/usr/bin/python3 -I -B -c '
    import sys
    sys.path.insert(0, "/tmp/lib")
    from vcr_sandbox.${module} import ${entry}
    ${entry}(sys.argv[1], sys.argv[2])
    ' "${specification}" "${out}"
  '';
in
{
  inherit call;

  # A derivation that is one call. name: of the derivation. module: the entry point.
  # modules: what it imports besides the shared ones. job: its specification; store
  # paths in it become dependencies. features: what the host must have.
  build =
    { name, module, modules ? [ ], job, features ? [ ] }:
    toolchain.run {
      inherit name;
      requiredSystemFeatures = features;
      job = builtins.toJSON job;
      passAsFile = [ "job" ];
    } (call { inherit module modules; } "$jobPath" "$out");
}

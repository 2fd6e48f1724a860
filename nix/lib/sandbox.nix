# Runs builders of vcr/sandbox: `module`.main(specification, $out). A builder gets the modules
# that it imports, by way of others too, the JSON beside them, and no more: a change of one
# rebuilds no other stage.
{ toolchain }:
let
  package = ../../vcr;
  # What a module imports of vcr: whole lines `from vcr.a.b import c`, and `from vcr.a import b`
  # where b is a module.
  imports = module:
    let
      text = builtins.readFile (package + "/${path module}");
      found = builtins.filter builtins.isList
        (builtins.split "(^|\n)from vcr\\.([a-z_.]+) import ([^\n]+)" text);
      named = match:
        let
          from = builtins.elemAt match 1;
          names = builtins.filter builtins.isString
            (builtins.split "[^a-z_]+(as [a-z_]+)?" (builtins.elemAt match 2));
        in
        if isModule from then [ from ] else map (name: "${from}.${name}") names;
    in
    builtins.filter isModule (builtins.concatMap named found);
  path = module: "${builtins.replaceStrings [ "." ] [ "/" ] module}.py";
  table = module: "${builtins.replaceStrings [ "." ] [ "/" ] module}.json";
  isFile = file: builtins.pathExists (package + "/${file}");
  isModule = module: isFile (path module);
  closure = module: map (entry: entry.key) (builtins.genericClosure {
    startSet = [ { key = module; } ];
    operator = entry: map (key: { inherit key; }) (imports entry.key);
  });

  # Without any __init__.py: packages of the same names, with nothing in them but these.
  sources = module:
    let
      modules = closure module;
      files = map path modules ++ builtins.filter isFile (map table modules);
      folders = builtins.concatMap above files;
      above = file: if dirOf file == "." then [ ] else [ (dirOf file) ] ++ above (dirOf file);
      root = toString package + "/";
      below = file: builtins.substring (builtins.stringLength root) (-1) file;
    in
    builtins.path {
      path = package;
      name = "vcr-sandbox";
      filter = file: _: builtins.elem (below file) (files ++ folders);
    };

  # Shell text that runs `entry` of a module on a specification file.
  call = { module, entry ? "main" }: specification: out: ''
    rm -rf /tmp/lib
    mkdir /tmp/lib
    ln -s ${sources "sandbox.${module}"} /tmp/lib/vcr
    ${toolchain.python}/usr/bin/python3 -I -B -c '
    import sys
    sys.path.insert(0, "/tmp/lib")
    from vcr.sandbox.${module} import ${entry}
    ${entry}(sys.argv[1], sys.argv[2])
    ' "${specification}" "${out}"
  '';
in
{
  inherit call;

  # A derivation that is one call. name: of the derivation. module: the entry point.
  # job: its specification; store paths in it become dependencies. features: what the
  # host must have.
  build =
    { name, module, job, features ? [ ] }:
    toolchain.run {
      inherit name;
      requiredSystemFeatures = features;
      job = builtins.toJSON job;
      passAsFile = [ "job" ];
    } (call { inherit module; } "$jobPath" "$out");
}

# The command line. Output: bin/vcr and lib/{vcr,nix,guest,examples}: the package
# beside the expressions it evaluates at run time and the examples that `vcr create`
# copies, laid out as in the repository.
{ toolchain }:
let
  source = path: name: builtins.path {
    inherit path name;
    filter = file: _: baseNameOf file != "__pycache__";
  };
in
toolchain.run { name = "vcr"; } ''
  mkdir -p $out/bin $out/lib
  cp -r ${source ../vcr "vcr-package"} $out/lib/vcr
  cp -r ${source ./. "vcr-nix"} $out/lib/nix
  cp -r ${source ../guest "vcr-guest"} $out/lib/guest
  cp -r ${source ../examples "vcr-examples"} $out/lib/examples
  chmod -R u+w $out/lib/vcr
  ${toolchain.python}/usr/bin/python3 -I -B -m compileall -q -f -j 1 --invalidation-mode unchecked-hash \
    $out/lib/vcr
  cat > $out/bin/vcr <<END
  #!${toolchain.python}/usr/bin/python3 -I
  import sys
  sys.path[:0] = ["$out/lib", "${toolchain.attest}/usr/lib/python3/dist-packages"]
  from vcr.cli import main
  main()
  END
  chmod 755 $out/bin/vcr
''

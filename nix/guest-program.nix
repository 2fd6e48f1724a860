# A Go program of guest/ for an architecture, with build tags or without, of its source alone:
# its tests, and what fuzzing has found for them, are for checks.nix. Output: one static file
# of its name.
{ goRun, tags ? "" }:
name: arch:
goRun {
  name = "vcr-${name}-${if tags == "" then "" else "${tags}-"}${arch}";
  source = builtins.path {
    path = ../guest + "/${name}";
    inherit name;
    filter = file: _: builtins.match ".*(_test\\.go|/testdata(/.*)?)" file == null;
  };
  flags = if tags == "" then [ ] else [ "-tags=${tags}" ];
  env.GOARCH = arch;
} ''
  mkdir $out
  go build -o $out/${name} -ldflags "-s -w -buildid=" .
''

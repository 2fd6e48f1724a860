# A Go program of guest/ for an architecture, with build tags or without, of its source alone:
# its tests, and what fuzzing has found for them, are for checks.nix; shell.go is for the tag
# shell, so that a change of it builds no RUN again. Output: one static file of its name.
{ goRun, tags ? "" }:
name: arch:
let
  others = if tags == "shell" then "" else "|/shell\\.go";
in
goRun {
  name = "vcr-${name}-${if tags == "" then "" else "${tags}-"}${arch}";
  source = builtins.path {
    path = ../guest + "/${name}";
    inherit name;
    filter = file: _: builtins.match ".*(_test\\.go|/testdata(/.*)?${others})" file == null;
  };
  flags = if tags == "" then [ ] else [ "-tags=${tags}" ];
  env.GOARCH = arch;
} ''
  mkdir $out
  go build -o $out/${name} -ldflags "-s -w -buildid=" .
''

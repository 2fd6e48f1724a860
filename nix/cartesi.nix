# The Cartesi emulator and its kernel, as they were released or as they are given. Output
# of emulator: usr/.
{ bootstrap, pins }:
let
  inherit (pins) cartesi;
  fetched = pin: bootstrap.fetch {
    name = baseNameOf pin.url;
    inherit (pin) url;
    hash = pin.sha256;
  };
in
rec {
  inherit (cartesi) version;
  # A file of one's own is imported as it is; its hash is in machine.json and in the lock.
  given = name: own: pin: if own == "" then fetched pin else builtins.path { path = own; inherit name; };
  kernel = own: given "linux.bin" own cartesi.kernel; # OpenSBI is in it
  package =
    own: given "machine-emulator.deb" own cartesi.emulator.${bootstrap.platform.arch};
  emulator =
    own:
    bootstrap.run { name = "vcr-cartesi-${version}"; } ''
      mkdir $out
      member=$(ar t ${package own} | grep '^data.tar')
      case $member in
        *.xz) ar p ${package own} $member | xz -dc | tar -xo -C $out ;;
        *.gz) ar p ${package own} $member | gunzip | tar -xo -C $out ;;
        *) echo "unknown member $member"; exit 1 ;;
      esac
    '';
}

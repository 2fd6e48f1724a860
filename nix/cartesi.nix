# The Cartesi emulator and its kernel, as they were released. Output of emulator: usr/.
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
  kernel = fetched cartesi.kernel; # OpenSBI is in it
  # A package of one's own is imported as it is; its hash is in machine.json.
  package =
    own:
    if own == "" then
      fetched cartesi.emulator.${bootstrap.platform.arch}
    else
      builtins.path { path = own; name = "machine-emulator.deb"; };
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

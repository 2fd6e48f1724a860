# The fixed-output derivations among .drv files of the store, each field to a file of its own:
# wanted/BASENAME-OF-DRV/{out,hash,mode,name,url}. Prints OUT<TAB>BASENAME for each.
#
# Nix manual, "Derivation ATerm": Derive([outputs],[inputs],[sources],"system","builder",
# [arguments],[environment]). Only strings hold text of others; in one a quote is \" and a
# backslash \\, so what splits the line at its quotes are all of the strings' ends. Escapes
# stay as they are: none of the fields may have a character that is escaped.

function parse(line,    count, i, part, piece, backslashes) {
  count = split(line, part, "\"")
  strings = 0
  between[0] = part[1]
  for (i = 2; i <= count; i++) {
    piece = part[i]
    while (i < count) { # an odd number of backslashes escapes the quote after them
      backslashes = match(piece, /\\+$/) ? RLENGTH : 0
      if (backslashes % 2 == 0) break
      piece = piece "\"" part[++i]
    }
    text[++strings] = piece
    between[strings] = part[++i]
  }
}

# The value of NAME in the environment: the only pairs of two strings that end in a bracket.
function variable(name,    i) {
  for (i = 1; i < strings; i++)
    if (text[i] == name && between[i - 1] ~ /\($/ && between[i] == "," && between[i + 1] ~ /^\)/)
      return text[i + 1]
  return ""
}

function field(drv, name, value,    file) {
  file = "wanted/" drv "/" name
  print value > file
  close(file)
}

{
  parse($0)
  if (text[1] != "out" || between[0] != "Derive([(" || text[4] == "" || between[4] !~ /^\)\],/) next
  drv = FILENAME
  sub(/.*\//, "", drv)
  recursive = text[3] == "r:sha256"
  if (text[3] != "sha256" && !recursive) next
  field(drv, "out", text[2])
  field(drv, "mode", recursive ? "recursive" : "flat")
  field(drv, "hash", text[4])
  field(drv, "name", variable("name"))
  field(drv, "url", variable("url"))
  print text[2] "\t" drv
}

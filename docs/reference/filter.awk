# Shows our headers to Doxygen: plain comments become documentation of what they stand at.
#
#   a block before a declaration    documents it, and functions and members that follow without a gap
#   a comment behind a declaration  documents that one
#   the first block of a file       documents the file
#
# In a block, "Errors: ..." begins a paragraph of its own; of indented lines, programs stay programs,
# and "term  explanation" becomes a list. What is private or inside a function is for Doxygen to hide.
# In pages of text, links to headers become links to their reference pages.

BEGIN { column = -1 }  # where the comment behind the last declaration begins; -1: it has none

# ---- Text -----------------------------------------------------------------------------------

# Marks what Doxygen would take for markup, but in `code`.
function escape(text,    parts, n, i, out) {
  n = split(text, parts, "`")
  for (i = 1; i <= n; ++i) {
    if (i % 2 == 1 || n % 2 == 0) {
      gsub(/[\\@<>#%*&]/, "\\\\&", parts[i])
      gsub(/--/, "\\--", parts[i])
      gsub(/et al\. /, "et al.\\ ", parts[i])  # ends no sentence
    }
    out = out (i > 1 ? "`" : "") parts[i]
  }
  return out
}

function indent_of(line) {
  match(line, /^ */)
  return substr(line, 1, RLENGTH)
}

function emit(text) { doc[++doc_size] = text }

function emit_text(text,    at) {
  if (text ~ /^\|[-|]+\|$/) {  # below the head of a table
    emit(text)
    return
  }
  at = match(text, /(^|[.:;)] )Errors: /)
  if (at > 1) emit(escape(substr(text, 1, at)))
  if (at > 0) {
    emit("@par Errors")
    text = substr(text, at + RLENGTH)
  }
  emit(escape(text))
}

# A term ends at two blanks, or with its line.
function emit_item(text) {
  if (indent_of(text) != "  ") {
    sub(/^ +/, "", text)
    emit("  " escape(text))
  } else if (match(text, /[^ ]  +[^ ]/)) {
    emit("- <b>" escape(substr(text, 3, RSTART - 2)) ":</b> " escape(substr(text, RSTART + RLENGTH - 1)))
  } else {
    emit("- <b>" escape(substr(text, 3)) ":</b>")
  }
}

# What the indented lines from `from` on are.
function kind_of_run(from,    i) {
  for (i = from; block[i] ~ /^  / || (block[i] == "" && block[i + 1] ~ /^  /); ++i)
    if (block[i] ~ /\);$/ || block[i] ~ / \{$/ || block[i] ~ /GREVY_[A-Z]+\(/) return "code"
  return block[from] ~ /^  [^ ].*[^ ]  +[^ ]/ ? "list" : "verbatim"
}

function end_run() {
  if (run == "code" || run == "verbatim") emit("@end" run)
  if (run == "list") emit("")
  run = ""
}

# block[] -> doc[]
function make_doc(    i) {
  doc_size = 0
  block[block_size + 1] = block[block_size + 2] = ""
  for (i = 1; i <= block_size; ++i) {
    if (block[i] ~ /^-+ .* -+$/ || block[i] ~ /^clang-format/) block[i] = ""
    if (block[i] ~ /^  / && run == "") {
      run = kind_of_run(i)
      if (run != "list") emit("@" run (run == "code" ? "{.cpp}" : ""))
      else emit("")
    }
    if (block[i] !~ /^  / && !(block[i] == "" && block[i + 1] ~ /^  /)) end_run()
    if (run == "list" && block[i] != "") emit_item(block[i])
    else if (run == "") emit_text(block[i])
    else emit(block[i])
  }
  end_run()
  block_size = 0
}

function has_text(    i) {
  for (i = 1; i <= doc_size; ++i) if (doc[i] != "") return 1
  return 0
}

function print_doc(    i) {
  for (i = 1; i <= doc_size; ++i) print indent "/// " doc[i]
}

# ---- Comments -------------------------------------------------------------------------------

function add_line(text) {
  sub(/^ /, "", text)
  if (block_size == 0) indent = indent_of($0)
  block[++block_size] = text
}

# The block that has just ended stands before `line`.
function end_block(line) {
  if (block_size == 0) return
  make_doc()
  if (!seen_file) {
    seen_file = 1
    sub(/^grevy\/[^:]*: /, "", doc[1])
    doc[1] = toupper(substr(doc[1], 1, 1)) substr(doc[1], 2)
    print "/// @file"
    print_doc()
    doc_size = 0
  } else if (line ~ /^ *$/ || line ~ /^ *(private:|}|namespace|#[a-ce-z])/ || !has_text()) {
    doc_size = 0
  } else {
    print_doc()
    documented = 1
  }
}

# ---- Declarations ---------------------------------------------------------------------------

# Nobody asks for these by name.
function is_noise(line) {
  return line ~ /= delete;/ || line ~ /^ *~[A-Za-z]+\(\);/ || line ~ /&&\) noexcept;/ ||
         line ~ /^#define GREVY_([A-Z_]+_H(PP)?$|COVERS|NEEDS|JOIN|REGISTER_|TEXT_OF|TORCH_FLAVOUR)/
}

# Members that the rules at the head of abi.h explain.
function standing_text(line) {
  if (line ~ /^  uint32_t struct_size;/) return "bytes of this struct, set by whoever fills it"
  if (line ~ /^  uint32_t reserved;/) return "0"
  if (line ~ /^  void\* context;/) return "first argument of the functions beside it"
  return ""
}

# "T a, b;" documents both.
function print_declaration(line, text,    type, names, n, i) {
  text = text == "" ? "" : "  ///< " escape(text)
  if (line !~ /^ *[A-Za-z_:<>0-9*]+ [a-z_0-9]+( = [^,;()]+)?(, [a-z_0-9]+( = [^,;()]+)?)+;/) {
    print line text
    return
  }
  match(line, /^ *[A-Za-z_:<>0-9*]+ /)
  type = substr(line, 1, RLENGTH)
  n = split(substr(line, RLENGTH + 1, index(line, ";") - RLENGTH - 1), names, ", ")
  for (i = 1; i <= n; ++i) {
    if (i > 1 && text == "") print_doc()
    print type names[i] ";" text
  }
}

function shares_doc(line) {
  return doc_size > 0 && !documented && statement_ended && indent_of(line) == indent &&
         line ~ /^ *([A-Za-z]|#define)/ && line !~ /^ *(public:|private:|protected:|struct |class |enum |union )/
}

# A declaration waits for the rest of the comment behind it.
function release() {
  if (column >= 0) print_declaration(held_line, held_text)
  column = -1
}

function declaration(line,    text) {
  if (noise_goes_on || is_noise(line)) {
    noise_goes_on = line ~ /\\$/
    print ""
    return
  }
  text = standing_text(line)
  if (match(line, /[;,{}a-z0-9] +(\/\/|\/\*) /) && line !~ /^( *#|})/) {
    text = substr(line, RSTART + RLENGTH)
    column = RSTART + RLENGTH - 4
    in_c = substr(line, column + 1, 2) == "/*" && line !~ /\*\/ *$/
    sub(/ *\*\/ *$/, "", text)
    line = substr(line, 1, RSTART)
  }
  held_line = line
  held_text = text
  if (text == "" && shares_doc(line)) print_doc()
  if (column < 0) print_declaration(line, text)
  documented = 0
  statement_ended = line ~ /[;}]$/ || line ~ /^#define/
  if (line ~ /^ *$/) doc_size = 0
}

# ---- Lines ----------------------------------------------------------------------------------

FILENAME ~ /\.dox$/ {
  print
  next
}

FILENAME ~ /\.md$/ {
  while (match($0, /\]\(\.\.\/(sdk|host)\/include\/[a-z\/]+\/[a-z_]+\.hp*\)/)) {
    link = substr($0, RSTART, RLENGTH)
    sub(/^.*\//, "](@ref ", link)
    $0 = substr($0, 1, RSTART - 1) link substr($0, RSTART + RLENGTH)
  }
  gsub(/\]\(\.\.\/[^)@]*\)/, "]")  # other files are not here
  print
  next
}

in_c {  # a C comment goes on
  in_c = $0 !~ /\*\/ *$/
  text = $0
  sub(/ *\*\/ *$/, "", text)
  sub(/^ *\*/, "", text)
  sub(/^ */, column >= 0 ? " " : "&", text)
  if (column >= 0) held_text = held_text text
  else add_line(text)
  next
}

/^ *\/\// {
  at = index($0, "//")
  if (at - 1 == column) {
    held_text = held_text substr($0, at + 2)
    next
  }
  release()
  add_line(substr($0, at + 2))
  next
}

/^ *\/\*/ {
  release()
  in_c = $0 !~ /\*\/ *$/
  text = substr($0, index($0, "/*") + 2)
  sub(/ *\*\/ *$/, "", text)
  add_line(text)
  next
}

{
  release()
  end_block($0)
  declaration($0)
}

END { release() }

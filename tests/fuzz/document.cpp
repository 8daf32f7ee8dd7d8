// An experiment's file and changes to it: the document, a NUL, then "a.b=value" on each line.
#include "experiment/document.hpp"

#include "json_support.hpp"

using namespace grevy::fuzz;
using grevy::host::apply_change;
using nlohmann::json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto [text, changes] = split(view(data, size), '\0');
  const std::string file = write_input(text);
  json document;
  if (!accepts([&] { document = grevy::host::read_document(file); }, file)) return 0;
  while (!changes.empty()) {
    const auto [line, rest] = split(changes, '\n');
    const std::string change(line);
    changes = rest;
    if (!accepts([&] { apply_change(document, change); }, "--set ")) continue;
    json again = document;
    apply_change(again, change);
    const bool appends = change.find('-') < change.find('=');
    expect(appends || again == document, "a change that is made twice is another one");
  }
  (void)document.dump();
  return 0;
}

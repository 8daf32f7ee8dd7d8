// Mangled names: whatever they say, a longer identifier in front is no namespace.
#include "plugins/mangled_name.hpp"

#include "support.hpp"

using grevy::fuzz::expect;
using grevy::host::names_namespace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(grevy::fuzz::view(data, size));
  names_namespace(text, "at");
  names_namespace("_Z" + text, "at");
  // As an identifier it is one, whatever is in it.
  const std::string whole = "_ZN" + std::to_string(text.size() + 1) + "x" + text + "E";
  expect(!names_namespace(whole, "at"), "an identifier was read");
  expect(names_namespace(whole + "N2at1TE", "at"), "what follows an identifier was not read");
  return 0;
}

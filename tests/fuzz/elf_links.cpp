// What libraries need of LibTorch: by their section headers and without them.
#include "plugins/elf_links.hpp"

#include "support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file = grevy::fuzz::write_input(grevy::fuzz::view(data, size));
  grevy::fuzz::accepts([&] { grevy::host::needed_of_libtorch(file); }, file);
  return 0;
}

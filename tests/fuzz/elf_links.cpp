// What a library needs of LibTorch: a name that the file has, of the kinds that are looked for.
#include "plugins/elf_links.hpp"

#include "support.hpp"

#include <algorithm>

using grevy::fuzz::expect;

namespace {

bool begins(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

bool is_of_libtorch(const std::string& name) {
  const std::string file = name.substr(name.rfind('/') + 1);
  for (const char* library : {"libtorch", "libc10", "libcaffe2", "aoti_torch_"})
    if (begins(file, library)) return true;
  const std::string spaces[] = {"2at", "3c10", "4c10d", "5torch", "6caffe2"};
  return begins(name, "_Z") && std::any_of(std::begin(spaces), std::end(spaces), [&](auto& space) {
           return name.find(space) != std::string::npos;
         });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = grevy::fuzz::view(data, size);
  const std::string file = grevy::fuzz::write_input(bytes);
  std::string needed;
  if (!grevy::fuzz::accepts([&] { needed = grevy::host::needed_of_libtorch(file); }, file))
    return 0;
  if (needed.empty()) return 0;
  expect(bytes.find(needed) != std::string_view::npos, "the name is not in the file");
  expect(is_of_libtorch(needed), "the name is not of LibTorch: " + needed);
  return 0;
}

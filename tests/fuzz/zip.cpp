// Zip archives as torch.save writes them: every member by its name.
#include "archive.hpp"
#include "files/zip_archive.hpp"
#include "support.hpp"

using grevy::fuzz::accepts;
using grevy::fuzz::expect;
using grevy::host::ZipArchive;

namespace {

void read_members(const ZipArchive& archive, const std::string& file, std::uint64_t most) {
  for (const std::string& name : archive.names()) {
    expect(name.empty() || archive.has(name), "a listed member is missing");
    accepts([&] { expect(archive.read(name, most).size() <= most, "a member is too long"); }, file);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = grevy::fuzz::view(data, size);
  const std::string file = grevy::fuzz::write_input(input);
  accepts([&] { read_members(ZipArchive(file, size), file, size); }, file);
  const std::string archive = grevy::fuzz::zip_of({{"a", input}});
  grevy::fuzz::write_input(archive);
  const auto bytes = ZipArchive(file, archive.size()).read("a", size);
  expect(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == input,
         "a stored member changed");
  return 0;
}

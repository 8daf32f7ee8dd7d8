// A kept plugin with names of its tables changed, and damaged.
#include "plugins/elf_links.hpp"

#include "elf_image.hpp"
#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::needed_of_libtorch;
using namespace grevy::tests;

namespace {

std::string kept_plugin() {
  std::string bytes = file_bytes(std::filesystem::path(GREVY_TEST_DATA).parent_path() /
                                 "plugins/released/1.0/criterion.so");
  REQUIRE(bytes.size() > sizeof(Elf64_Ehdr));
  bytes.replace(offsetof(Elf64_Ehdr, e_machine), sizeof(kThisMachine), raw(kThisMachine));
  return bytes;
}

// Puts a name of the same length in the place of another.
std::string renamed(const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  std::string bytes = kept_plugin();
  for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at))
    bytes.replace(at, from.size(), to);
  return bytes;
}

std::string needed(const std::string& bytes) {
  const TemporaryFolder folder;
  return needed_of_libtorch(folder.write("plugin.so", bytes));
}

}  // namespace

TEST_CASE("what a library needs of LibTorch is found in its tables") {
  CHECK(needed(kept_plugin()).empty());
  CHECK(needed(renamed("libc.so.6", "libc10.so")) == "libc10.so");
  CHECK(needed(renamed("libc.so.6", "libtorch6")) == "libtorch6");
  CHECK(needed(renamed("__cxa_finalize", "_ZN2at5loaddEv")) == "_ZN2at5loaddEv");
  CHECK(needed(renamed("__cxa_finalize", "_ZNK3c104sizEv")) == "_ZNK3c104sizEv");
  CHECK(needed(renamed("__cxa_finalize", "_ZN3cat4loaEv_")).empty());
  // The plugin's own symbols are no needs.
  CHECK(needed(renamed("grevy_plugin_entry_v1", "_ZN2at5entry_plugin_v")).empty());
}

TEST_CASE("damaged tables are refused or say nothing") {
  const std::string whole = kept_plugin();
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += at < 2048 ? 1 : 41) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    try {
      needed(bytes);
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::incompatible);
      ++refused;
    }
  }
  CHECK(refused > 10);
  for (std::size_t size = 0; size < whole.size(); size += 97)
    CHECK_THROWS_AS(needed(whole.substr(0, size)), Error);
}

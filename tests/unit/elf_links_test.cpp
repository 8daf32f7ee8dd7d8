// A kept plugin with names of its tables changed, and damaged.
#include "plugins/elf_links.hpp"

#include "elf_image.hpp"
#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

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

template <typename T>
T load(const std::string& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
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

// A name, with zeros up to a size.
std::string padded_name(std::string name, std::size_t size) {
  name.resize(size, '\0');
  return name;
}

std::string without_sections(std::string bytes) {
  auto header = load<Elf64_Ehdr>(bytes);
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = 0;
  return bytes.replace(0, sizeof header, raw(header));
}

// ---- A library of undefined symbols alone, without section headers -----------------------------

enum class Table { none, hash, gnu_hash };

constexpr std::size_t kDynamicAt = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
constexpr std::size_t kTableAt = kDynamicAt + 6 * sizeof(Elf64_Dyn);

// The words of a table for `count` symbols; the GNU one has a defined symbol behind them.
std::string words_of(Table table, std::uint32_t count) {
  std::string bytes;
  const auto add = [&](std::uint32_t word) { bytes += raw(word); };
  if (table == Table::hash)
    for (const std::uint32_t word : {std::uint32_t{1}, count, 0u, 0u}) add(word);
  if (table == Table::gnu_hash)
    for (const std::uint32_t word : {1u, count - 1, 1u, 6u, 0u, 0u, count - 1, 1u}) add(word);
  bytes.resize(32, '\0');
  return bytes;
}

std::string library_of(const std::vector<std::string>& names, Table table) {
  std::string symbols = raw(Elf64_Sym{}), texts(1, '\0');
  for (const std::string& name : names) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<Elf64_Word>(texts.size());
    symbols += raw(symbol);
    texts += name + '\0';
  }
  Elf64_Sym own{};
  own.st_shndx = 1;
  symbols += raw(own);
  const std::string words = words_of(table, static_cast<std::uint32_t>(names.size() + 2));
  const std::size_t symbols_at = kTableAt + words.size(), texts_at = symbols_at + symbols.size();
  const Elf64_Sxword tag = table == Table::hash ? DT_HASH : DT_GNU_HASH;
  const Elf64_Dyn entries[6] = {{table == Table::none ? DT_DEBUG : tag, {kTableAt}},
                                {DT_STRTAB, {texts_at}},
                                {DT_STRSZ, {texts.size()}},
                                {DT_SYMTAB, {symbols_at}},
                                {DT_SYMENT, {sizeof(Elf64_Sym)}},
                                {DT_NULL, {0}}};
  Elf64_Ehdr header = image_with("").header;
  header.e_phnum = 2;
  header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
  Elf64_Phdr loaded{}, dynamic{};
  loaded.p_type = PT_LOAD;
  loaded.p_filesz = texts_at + texts.size();
  dynamic.p_type = PT_DYNAMIC;
  dynamic.p_offset = kDynamicAt;
  dynamic.p_filesz = sizeof entries;
  return raw(header) + raw(loaded) + raw(dynamic) + raw(entries) + words + symbols + texts;
}

}  // namespace

TEST_CASE("what a library needs of LibTorch is found in its tables") {
  CHECK(needed(kept_plugin()).empty());
  CHECK(needed(renamed("libc.so.6", "libc10.so")) == "libc10.so");
  CHECK(needed(renamed("libc.so.6", "libtorch-")) == "libtorch-");
  CHECK(needed(renamed("__cxa_finalize", "_ZN2at5loaddEv")) == "_ZN2at5loaddEv");
  CHECK(needed(renamed("__cxa_finalize", "_ZNK3c104sizEv")) == "_ZNK3c104sizEv");
  CHECK(needed(renamed("__cxa_finalize", "_ZN3cat4loaEv_")).empty());
  // The plugin's own symbols are no needs.
  CHECK(needed(renamed("grevy_plugin_entry_v1", "_ZN2at5entry_plugin_v")).empty());
}

TEST_CASE("a library of LibTorch is known in any folder, and no other for it") {
  const std::string needs = "libc.so.6";
  for (const char* name : {"/libc10.a", "a/libc10.", "./libc10", "libtorch_", "libcaffe2"}) {
    CAPTURE(name);
    CHECK(needed(renamed(needs, padded_name(name, needs.size()))) == name);
  }
  for (const char* name : {"libtorchx", "libc100.a", "xlibc10.a", "libc10/ab", "libcaffe"}) {
    CAPTURE(name);
    CHECK(needed(renamed(needs, padded_name(name, needs.size()))).empty());
  }
}

TEST_CASE("symbols are found in a file whose section headers were taken off") {
  CHECK(needed(without_sections(kept_plugin())).empty());
  CHECK(needed(without_sections(renamed("__cxa_finalize", "_ZN2at5loaddEv"))) == "_ZN2at5loaddEv");
  CHECK(needed(without_sections(renamed("__cxa_finalize", "aoti_torch_abc"))) == "aoti_torch_abc");
  CHECK(needed(without_sections(renamed("libc.so.6", "libc10.so"))) == "libc10.so");
}

TEST_CASE("symbols are found in a file that has no segments, as a linker reads it") {
  const auto without_segments = [](std::string bytes) {
    auto header = load<Elf64_Ehdr>(bytes);
    header.e_phnum = 0;
    return bytes.replace(0, sizeof header, raw(header));
  };
  CHECK(needed(without_segments(kept_plugin())).empty());
  CHECK(needed(without_segments(renamed("__cxa_finalize", "_ZN2at5loaddEv"))) == "_ZN2at5loaddEv");
}

TEST_CASE("symbols are counted by either table of names") {
  const Table both[] = {Table::hash, Table::gnu_hash};
  for (const Table table : both) {
    CHECK(needed(library_of({"malloc", "_ZN2at4loadEv"}, table)) == "_ZN2at4loadEv");
    CHECK(needed(library_of({"malloc", "_ZN3cat4loadEv"}, table)).empty());
  }
  // Nothing says how many there are.
  CHECK(needed(library_of({"_ZN2at4loadEv"}, Table::none)).empty());
}

TEST_CASE("of a name without end no more than its beginning is looked at") {
  const std::string long_name = "_ZN2at4load" + std::string(10000, 'v');
  CHECK(needed(library_of({long_name}, Table::hash)) == long_name.substr(0, 4096));
  const std::string late = "_Z" + std::string(4096, 'P') + "N2at1TE";
  CHECK(needed(library_of({late}, Table::hash)).empty());
  CHECK(needed(library_of({late.substr(0, 2) + late.substr(20)}, Table::hash)).size() == 4087);
}

TEST_CASE("tables that lie about their sizes are refused") {
  const auto refused = [](const std::string& bytes) {
    try {
      needed(bytes);
      return std::string();
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::incompatible);
      return std::string(e.what());
    }
  };
  const auto with = [](Table table, std::size_t word, std::uint32_t value) {
    std::string bytes = library_of({"_ZN2at4loadEv"}, table);
    bytes.replace(kTableAt + word * 4, 4, raw(value));
    return bytes;
  };
  const auto says = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(says(refused(with(Table::hash, 1, UINT32_MAX)), "dynamic symbols"));
  CHECK(says(refused(with(Table::hash, 1, 1000)), "dynamic symbols"));
  CHECK(says(refused(with(Table::gnu_hash, 0, UINT32_MAX)), "GNU hash table"));
  CHECK(says(refused(with(Table::gnu_hash, 1, 1000)), "dynamic symbols"));
  CHECK(says(refused(with(Table::gnu_hash, 2, UINT32_MAX)), "GNU hash table"));
  // A bucket far behind the end.
  CHECK(says(refused(with(Table::gnu_hash, 6, UINT32_MAX)), "a chain has no end"));
}

TEST_CASE("damaged tables without section headers are refused or say nothing") {
  for (const Table table : {Table::hash, Table::gnu_hash}) {
    const std::string whole = library_of({"malloc", "_ZN2at4loadEv"}, table);
    for (std::size_t at = 0; at < whole.size(); ++at)
      for (const int change : {0x01, 0x80, 0xff}) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ change);
        try {
          needed(bytes);
        } catch (const Error& e) {
          CHECK(e.code() == ErrorCode::incompatible);
        }
      }
  }
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

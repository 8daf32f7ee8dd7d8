// Notes of plugins; notes that are read and put into another file must be the same.
#include "plugins/elf_notes.hpp"

#include "support.hpp"

#include <cstring>
#include <elf.h>

using grevy::fuzz::expect;
using grevy::host::ElfNote;
using grevy::host::read_grevy_notes;

namespace {

template <typename T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 3) / 4 * 4, '\0');
  return bytes;
}

std::string area_of(const std::vector<ElfNote>& notes) {
  std::string area;
  for (const ElfNote& note : notes) {
    const Elf64_Nhdr header{6, static_cast<Elf64_Word>(note.text.size()), note.type};
    area += raw(header) + padded("Grevy") + padded(note.text);
  }
  return area;
}

// A library with one segment, of notes. `header` is that of the library they were found in.
std::string library_with(Elf64_Ehdr header, const std::vector<ElfNote>& notes) {
  const std::string area = area_of(notes);
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_shoff = 0;
  Elf64_Phdr segment{};
  segment.p_type = PT_NOTE;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = area.size();
  return raw(header) + raw(segment) + area;
}

bool same(const std::vector<ElfNote>& a, const std::vector<ElfNote>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].type != b[i].type || a[i].text != b[i].text) return false;
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file = grevy::fuzz::write_input(grevy::fuzz::view(data, size));
  std::vector<ElfNote> notes;
  if (!grevy::fuzz::accepts([&] { notes = read_grevy_notes(file); }, file)) return 0;
  Elf64_Ehdr header;
  std::memcpy(&header, data, sizeof header);
  grevy::fuzz::write_input(library_with(header, notes));
  expect(same(read_grevy_notes(file), notes), "the notes changed");
  return 0;
}

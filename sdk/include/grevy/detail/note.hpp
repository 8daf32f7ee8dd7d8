// Manifests as ELF notes: constants in a section that the host reads without running the plugin.
#ifndef GREVY_DETAIL_NOTE_HPP
#define GREVY_DETAIL_NOTE_HPP

#include <grevy/abi.h>
#include <grevy/detail/json_text.hpp>

#include <cstdint>
#include <string_view>

namespace grevy::detail {

// Layout of Elf64_Nhdr, name and descriptor; the descriptor is padded to 4 bytes.
template <std::size_t N>
struct Note {
  std::uint32_t name_size, descriptor_size, type;
  char name[8];
  char descriptor[(N + 3) / 4 * 4];
};

template <std::size_t N>
constexpr Note<N> make_note(std::uint32_t type, std::string_view text) {
  Note<N> note{6, sizeof(note.descriptor), type, {'G', 'r', 'e', 'v', 'y', 0, 0, 0}, {}};
  for (std::size_t i = 0; i < N; ++i) note.descriptor[i] = text[i];
  return note;
}

// Explicit alignment: a compiler would align a large constant further and leave gaps.
#define GREVY_NOTE_SECTION __attribute__((section(".note.grevy"), used, aligned(4)))

}  // namespace grevy::detail

#endif

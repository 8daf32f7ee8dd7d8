// Small ELF shared libraries with notes, put together byte by byte.
#ifndef GREVY_TESTS_ELF_IMAGE_HPP
#define GREVY_TESTS_ELF_IMAGE_HPP

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <string>

namespace grevy::tests {

#if defined(__x86_64__)
inline constexpr Elf64_Half kThisMachine = EM_X86_64;
inline constexpr Elf64_Half kOtherMachine = EM_AARCH64;
#else
inline constexpr Elf64_Half kThisMachine = EM_AARCH64;
inline constexpr Elf64_Half kOtherMachine = EM_X86_64;
#endif

template <typename T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 3) / 4 * 4, '\0');
  return bytes;
}

inline std::string note(const std::string& owner, std::uint32_t type, const std::string& text) {
  const Elf64_Nhdr header{static_cast<Elf64_Word>(owner.size() + 1),
                          static_cast<Elf64_Word>(text.size()), type};
  return raw(header) + padded(owner + '\0') + padded(text);
}

inline std::string note_header(std::uint32_t name_size, std::uint32_t text_size) {
  return raw(Elf64_Nhdr{name_size, text_size, 1});
}

inline const std::string kNames("\0.shstrtab\0.note.grevy\0.note.grevy.more\0", 40);

// What a test may change before the image is put together.
struct Image {
  Elf64_Ehdr header{};
  Elf64_Phdr segment{};
  Elf64_Shdr sections[3] = {};
  std::string area;

  std::string bytes() const {
    return raw(header) + raw(segment) + area + kNames + raw(sections[0]) + raw(sections[1]) +
           raw(sections[2]);
  }
};

inline constexpr std::size_t kAreaAt = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);

// An ET_DYN file whose note area is found by segment and by section.
inline Image image_with(const std::string& area) {
  Image image;
  image.area = area;
  Elf64_Ehdr& header = image.header;
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = kThisMachine;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shoff = kAreaAt + area.size() + kNames.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 1;
  image.segment.p_type = PT_NOTE;
  image.segment.p_offset = kAreaAt;
  image.segment.p_filesz = area.size();
  image.segment.p_align = 4;
  image.sections[1].sh_name = 1;
  image.sections[1].sh_type = SHT_STRTAB;
  image.sections[1].sh_offset = kAreaAt + area.size();
  image.sections[1].sh_size = kNames.size();
  image.sections[2].sh_name = 11;
  image.sections[2].sh_type = SHT_NOTE;
  image.sections[2].sh_offset = kAreaAt;
  image.sections[2].sh_size = area.size();
  return image;
}

}  // namespace grevy::tests

#endif

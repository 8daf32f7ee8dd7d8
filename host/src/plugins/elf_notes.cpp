#include "plugins/elf_notes.hpp"

#include "plugins/elf_file.hpp"

#include <cstddef>
#include <string_view>
#include <utility>

namespace grevy::host {

namespace {

constexpr std::uint64_t kTextLimit = std::uint64_t{4} << 20;
constexpr std::size_t kNoteLimit = 4096;
constexpr std::string_view kOwner = "Grevy";
constexpr std::string_view kSection{".note.grevy\0", 12};  // with its end, to match whole names

std::string_view without_zeros(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

std::uint64_t padded(std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; }

class Collector {
 public:
  explicit Collector(InputFile& file) : file_(file) {}

  void add_area(std::uint64_t offset, std::uint64_t size) {
    const std::string area = read_range(file_, offset, size, "note area");
    total_ += size;
    if (total_ > elf_table_limit) {
      fail_damaged(file_, "the note areas together have more than " +
                              std::to_string(elf_table_limit) + " bytes");
    }
    std::uint64_t at = 0;
    while (area.size() - at >= sizeof(Elf64_Nhdr)) {
      at = take_note(area, at);
      if (at >= area.size()) return;
    }
  }

  std::vector<ElfNote> take() { return std::move(notes_); }
  bool empty() const { return notes_.empty(); }

 private:
  // Returns where the next note may begin; no name means that this is padding.
  std::uint64_t take_note(const std::string& area, std::uint64_t at) {
    const auto header = load<Elf64_Nhdr>(area, at);
    if (header.n_namesz == 0) return at + 4;
    const std::uint64_t name_at = at + sizeof header;
    const std::uint64_t text_at = name_at + padded(header.n_namesz);
    const std::uint64_t end = text_at + header.n_descsz;
    if (end > area.size()) fail_damaged(file_, "a note reaches beyond its area");
    if (++seen_ > kNoteLimit) {
      fail_damaged(file_, "more than " + std::to_string(kNoteLimit) + " notes");
    }
    const std::string_view view(area);
    if (without_zeros(view.substr(name_at, header.n_namesz)) == kOwner) {
      add_note(header.n_type, view.substr(text_at, header.n_descsz));
    }
    return padded(end);
  }

  void add_note(std::uint32_t type, std::string_view text) {
    if (text.size() > kTextLimit) {
      fail_damaged(file_, "a Grevy note has " + std::to_string(text.size()) + " bytes; at most " +
                              std::to_string(kTextLimit) + " are allowed");
    }
    notes_.push_back({type, std::string(without_zeros(text))});
  }

  InputFile& file_;
  std::uint64_t total_ = 0;
  std::size_t seen_ = 0;
  std::vector<ElfNote> notes_;
};

void collect_segments(InputFile& file, const Elf64_Ehdr& header, Collector& out) {
  const auto segments = read_segments(file, header);
  for (const Elf64_Phdr& segment : segments) {
    // Loading a file that lacks a part of these would end the process, not fail.
    if (segment.p_type == PT_LOAD && !file.holds(segment.p_offset, segment.p_filesz)) {
      fail_damaged(file, "a part that is loaded reaches beyond the file's end");
    }
    if (segment.p_type == PT_NOTE) out.add_area(segment.p_offset, segment.p_filesz);
  }
}

void collect_sections(InputFile& file, const Elf64_Ehdr& header, Collector& out) {
  if (header.e_shoff == 0 || header.e_shstrndx >= header.e_shnum) return;
  const auto sections = read_sections(file, header);
  const Elf64_Shdr& names_at = sections[header.e_shstrndx];
  if (names_at.sh_type != SHT_STRTAB) return;
  const std::string names = read_range(file, names_at.sh_offset, names_at.sh_size, "section names");
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_NOBITS || section.sh_name >= names.size()) continue;
    if (names.compare(section.sh_name, kSection.size(), kSection) != 0) continue;
    out.add_area(section.sh_offset, section.sh_size);
  }
}

}  // namespace

std::vector<ElfNote> read_grevy_notes(const std::filesystem::path& path) {
  InputFile file(path, ErrorCode::incompatible, elf_wanted);
  const Elf64_Ehdr header = read_elf_header(file);
  Collector notes(file);
  collect_segments(file, header, notes);
  if (notes.empty()) collect_sections(file, header, notes);
  if (notes.empty())
    file.fail(ErrorCode::incompatible, "has no Grevy note: it is not a Grevy plugin");
  return notes.take();
}

}  // namespace grevy::host

// What a plugin says about itself without being run: JSON texts in ELF notes.
#ifndef GREVY_HOST_ELF_NOTES_HPP
#define GREVY_HOST_ELF_NOTES_HPP

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace grevy::host {

struct ElfNote {
  std::uint32_t type = 0;
  std::string text;  // the note's descriptor, trailing zero bytes removed
};

// All notes named "Grevy" of a shared library, in file order. Reads 64-bit little-endian ELF files
// of type ET_DYN (e_machine of this machine) with bounds checks on every field; no code of the
// library is run. Finds notes in PT_NOTE segments, and in a section called ".note.grevy" where no
// segment has them. Notes are aligned to 4 bytes; runs of zero padding between notes are skipped.
// A compiler may order the notes of one translation unit freely: file order is not source order.
// Limits: 64 MiB of note areas together, 4 MiB for one descriptor, 4096 notes (foreign ones count).
// Errors (all messages begin with the file's name): not_found; io (no permission); incompatible
// ("is not an ELF shared library", "... was built for another machine", "has no Grevy note: it is
// not a Grevy plugin", "is truncated or damaged: ...").
std::vector<ElfNote> read_grevy_notes(const std::filesystem::path& file);

}  // namespace grevy::host

#endif

// Zip archives around an input: a mutation inside a member would be refused for its checksum alone.
#ifndef GREVY_FUZZ_ARCHIVE_HPP
#define GREVY_FUZZ_ARCHIVE_HPP

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grevy::fuzz {

using Members = std::vector<std::pair<std::string, std::string_view>>;

// A zip archive of stored members (APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16).
std::string zip_of(const Members& members);

inline bool is_zip(std::string_view bytes) { return bytes.substr(0, 2) == "PK"; }

// What torch.save writes, from an input that is the archive itself or the contents of its members:
// length (2 bytes, little-endian) and bytes of the pickle, then of the storages "0", "1", ...
std::string torch_archive(std::string_view input);

}  // namespace grevy::fuzz

#endif

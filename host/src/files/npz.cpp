#include "files/npz.hpp"

#include <grevy/error.hpp>

#include <zip.h>

#include <algorithm>
#include <new>
#include <string_view>
#include <vector>

namespace grevy::host {
namespace {

// A deflate stream spends at least two bits on a repetition, which yields at most 258 bytes.
constexpr std::uint64_t deflate_ratio = 1032;
constexpr std::string_view suffix = ".npy";

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;
using Member = std::unique_ptr<zip_file_t, CloseMember>;

struct Entry {
  std::string key;
  zip_uint64_t index;
};

[[noreturn]] void fail(const std::string& where, const std::string& what,
                       ErrorCode code = ErrorCode::invalid_value) {
  throw Error(code, where + ": " + what);
}

Archive open_archive(const std::filesystem::path& file) {
  int code = 0;
  Archive archive(zip_open(file.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  fail(file.string(), "damaged or truncated .npz (zip) archive: " + reason);
}

// Members that are not arrays are none of our business.
std::vector<Entry> list_arrays(zip_t* archive) {
  std::vector<Entry> entries;
  const auto count =
      static_cast<zip_uint64_t>(std::max<zip_int64_t>(0, zip_get_num_entries(archive, 0)));
  for (zip_uint64_t index = 0; index < count; ++index) {
    const char* raw = zip_get_name(archive, index, 0);
    const std::string_view name = raw ? raw : "";
    if (name.size() <= suffix.size()) continue;
    const std::size_t stem = name.size() - suffix.size();
    if (name.substr(stem) == suffix) entries.push_back({std::string(name.substr(0, stem)), index});
  }
  return entries;
}

std::string list_keys(const std::vector<Entry>& entries) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(entries.size(), most); ++i) {
    text += (i ? ", \"" : "\"") + printable(entries[i].key) + "\"";
  }
  return entries.size() > most ? text + ", ..." : text;
}

const Entry& choose_only(const std::vector<Entry>& entries, const std::string& where) {
  if (entries.size() == 1) return entries.front();
  fail(where, "holds " + std::to_string(entries.size()) +
                  " arrays, so a key must be given; allowed: " + list_keys(entries));
}

const Entry& choose(const std::vector<Entry>& entries, const std::string& key,
                    const std::string& where) {
  if (entries.empty()) fail(where, "the .npz archive holds no arrays", ErrorCode::not_found);
  if (key.empty()) return choose_only(entries, where);
  const auto matches = [&](const Entry& entry) { return entry.key == key; };
  const auto found = std::find_if(entries.begin(), entries.end(), matches);
  if (found == entries.end()) {
    fail(where, "no array \"" + printable(key) + "\"; allowed: " + list_keys(entries),
         ErrorCode::not_found);
  }
  if (std::count_if(found, entries.end(), matches) > 1) {
    fail(where, "holds several arrays called \"" + printable(key) + "\"");
  }
  return *found;
}

struct MemberSizes {
  std::uint64_t stored;
  std::uint64_t unpacked;
  bool deflated;
};

MemberSizes member_sizes(zip_t* archive, zip_uint64_t index, const std::string& where) {
  constexpr zip_uint64_t wanted =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(archive, index, 0, &stat) != 0 || (stat.valid & wanted) != wanted) {
    fail(where, "damaged .npz member: its sizes cannot be read");
  }
  if (stat.encryption_method != ZIP_EM_NONE) fail(where, "the .npz member is encrypted");
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
    fail(where, "compression method " + std::to_string(stat.comp_method) +
                    " is not supported; allowed: stored, deflated");
  }
  return {stat.comp_size, stat.size, stat.comp_method == ZIP_CM_DEFLATE};
}

// Afterwards the unpacked size is one that the file can really hold.
void check_sizes(const MemberSizes& sizes, std::uint64_t archive_bytes, const std::string& where) {
  if (sizes.stored > archive_bytes) {
    fail(where, "truncated: needs " + std::to_string(sizes.stored) + " bytes, the whole file has " +
                    std::to_string(archive_bytes));
  }
  const std::uint64_t most = sizes.deflated ? sizes.stored * deflate_ratio : sizes.stored;
  if (sizes.unpacked > most) {
    fail(where, "claims " + std::to_string(sizes.unpacked) + " bytes, but " +
                    std::to_string(sizes.stored) + " stored bytes hold at most " +
                    std::to_string(most));
  }
}

void check_payload(const NpyHeader& header, std::uint64_t unpacked, const std::string& where) {
  if (header.file_bytes() == unpacked) return;
  fail(where, std::string(header.file_bytes() > unpacked ? "truncated" : "too long") + ": needs " +
                  std::to_string(header.file_bytes()) + " bytes, has " + std::to_string(unpacked));
}

class MemberReader {
 public:
  MemberReader(zip_t* archive, zip_uint64_t index, const std::string& where)
      : member_(zip_fopen_index(archive, index, 0)), where_(where) {
    if (!member_) fail(where, std::string("damaged .npz member: ") + zip_strerror(archive));
  }

  void read(void* target, std::uint64_t bytes) {
    auto* out = static_cast<unsigned char*>(target);
    while (bytes > 0) {
      const std::uint64_t got = read_some(out, std::min<std::uint64_t>(bytes, 1U << 26U));
      if (got == 0) fail(where_, "truncated: " + std::to_string(bytes) + " more bytes expected");
      out += got;
      bytes -= got;
    }
  }

  // The checksum is compared only when the end is read.
  void expect_end() {
    unsigned char extra = 0;
    if (read_some(&extra, 1) != 0) fail(where_, "damaged .npz member: longer than it claims");
  }

 private:
  std::uint64_t read_some(void* target, std::uint64_t bytes) {
    const zip_int64_t got = zip_fread(member_.get(), target, bytes);
    if (got >= 0) return static_cast<std::uint64_t>(got);
    fail(where_, std::string("damaged .npz member: ") + zip_file_strerror(member_.get()));
  }

  Member member_;
  const std::string& where_;
};

NpyHeader read_header(MemberReader& reader, std::uint64_t unpacked, const std::string& where) {
  std::string text(std::min<std::uint64_t>(npy_prefix_bytes, unpacked), '\0');
  reader.read(text.data(), text.size());
  const std::size_t prefix = text.size();
  const std::size_t needed = npy_header_bytes(text, where);
  if (needed > unpacked) {
    fail(where, "truncated: the .npy header needs " + std::to_string(needed) + " bytes, has " +
                    std::to_string(unpacked));
  }
  text.resize(needed);
  reader.read(text.data() + prefix, needed - prefix);
  return parse_npy_header(text, where);
}

std::shared_ptr<const unsigned char> read_payload(MemberReader& reader, std::uint64_t bytes,
                                                  const std::string& where) {
  // Not zeroed: pages are taken only as data arrives.
  std::unique_ptr<unsigned char[]> buffer(new (std::nothrow) unsigned char[bytes]);
  if (!buffer) fail(where, "too large: no memory for " + std::to_string(bytes) + " bytes");
  reader.read(buffer.get(), bytes);
  reader.expect_end();
  return {buffer.release(), std::default_delete<unsigned char[]>()};
}

}  // namespace

bool has_zip_magic(std::string_view bytes) {
  using namespace std::string_view_literals;
  const std::string_view start = bytes.substr(0, 4);
  return start == "PK\x03\x04"sv || start == "PK\x05\x06"sv;  // the latter: no members
}

NpzArray read_npz(const std::filesystem::path& file, const std::string& key,
                  std::uint64_t archive_bytes) {
  const Archive archive = open_archive(file);
  const std::vector<Entry> entries = list_arrays(archive.get());
  const std::string name = file.string();
  const Entry& entry = choose(entries, key, name);
  const std::string where = name + ", array \"" + printable(entry.key) + "\"";
  const MemberSizes sizes = member_sizes(archive.get(), entry.index, where);
  check_sizes(sizes, archive_bytes, where);
  MemberReader reader(archive.get(), entry.index, where);
  NpyHeader header = read_header(reader, sizes.unpacked, where);
  check_payload(header, sizes.unpacked, where);
  auto bytes = read_payload(reader, header.data_bytes, where);
  return {std::move(header), std::move(bytes), where};
}

}  // namespace grevy::host

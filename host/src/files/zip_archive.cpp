#include "files/zip_archive.hpp"

#include "files/npy_header.hpp"

#include <grevy/error.hpp>

#include <zip.h>

#include <algorithm>

namespace grevy::host {

namespace {

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using Member = std::unique_ptr<zip_file_t, CloseMember>;

[[noreturn]] void fail(const std::string& where, const std::string& what,
                       ErrorCode code = ErrorCode::invalid_value) {
  throw Error(code, where + ": " + what);
}

std::string member_text(const std::string& file, const std::string& name) {
  return file + ", member \"" + printable(name) + "\"";
}

zip_t* open_archive(const std::filesystem::path& file) {
  int code = 0;
  zip_t* archive = zip_open(file.c_str(), ZIP_RDONLY, &code);
  if (archive != nullptr) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  fail(file.string(), "damaged or truncated zip archive: " + reason);
}

zip_stat_t stat_of(zip_t* archive, const std::string& name, const std::string& where) {
  constexpr zip_uint64_t wanted =
      ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat(archive, name.c_str(), 0, &stat) != 0) {
    fail(where, "is not in the archive", ErrorCode::not_found);
  }
  if ((stat.valid & wanted) != wanted) fail(where, "damaged: its size cannot be read");
  return stat;
}

void check_storage(const zip_stat_t& stat, const std::string& where) {
  if (stat.encryption_method != ZIP_EM_NONE) fail(where, "is encrypted");
  if (stat.comp_method == ZIP_CM_STORE) return;
  fail(where, "is compressed (method " + std::to_string(stat.comp_method) +
                  "); members must be stored as they are");
}

std::uint64_t read_some(zip_file_t* member, void* target, std::uint64_t bytes,
                        const std::string& where) {
  const zip_int64_t got = zip_fread(member, target, bytes);
  if (got >= 0) return static_cast<std::uint64_t>(got);
  fail(where, std::string("damaged: ") + zip_file_strerror(member));
}

// Up to the end, because the checksum is compared only there.
std::vector<unsigned char> read_all(zip_file_t* member, std::uint64_t size,
                                    const std::string& where) {
  std::vector<unsigned char> bytes(size);
  std::uint64_t done = 0;
  while (done < size) {
    const std::uint64_t got = read_some(member, bytes.data() + done, size - done, where);
    if (got == 0) fail(where, "truncated: " + std::to_string(size - done) + " bytes are missing");
    done += got;
  }
  unsigned char extra = 0;
  if (read_some(member, &extra, 1, where) != 0) fail(where, "damaged: longer than it claims");
  return bytes;
}

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(const std::filesystem::path& file, std::uint64_t file_bytes)
    : file_(file.string()), file_bytes_(file_bytes), archive_(open_archive(file)) {}

ZipArchive::~ZipArchive() = default;
ZipArchive::ZipArchive(ZipArchive&&) noexcept = default;

std::vector<std::string> ZipArchive::names() const {
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t index = 0; index < count; ++index) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(index), 0);
    if (name != nullptr) names.emplace_back(name);
  }
  return names;
}

bool ZipArchive::has(const std::string& name) const {
  return zip_name_locate(archive_.get(), name.c_str(), 0) >= 0;
}

std::vector<unsigned char> ZipArchive::read(const std::string& name, std::uint64_t most) const {
  const std::string where = member_text(file_, name);
  const zip_stat_t stat = stat_of(archive_.get(), name, where);
  check_storage(stat, where);
  const std::uint64_t limit = std::min(most, file_bytes_);
  if (stat.size > limit) {
    fail(where, "claims " + std::to_string(stat.size) + " bytes; at most " + std::to_string(limit) +
                    " are allowed");
  }
  const Member member(zip_fopen_index(archive_.get(), stat.index, 0));
  if (!member) fail(where, std::string("damaged: ") + zip_strerror(archive_.get()));
  return read_all(member.get(), stat.size, where);
}

}  // namespace grevy::host

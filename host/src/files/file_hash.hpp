// SHA-256, of files and of pieces of memory.
#ifndef GREVY_HOST_FILE_HASH_HPP
#define GREVY_HOST_FILE_HASH_HPP

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace grevy::host {

// Of pieces, one after the other.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::string_view piece);
  // 64 hexadecimal digits, lower case. The last call.
  std::string digits();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Errors: io.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace grevy::host

#endif

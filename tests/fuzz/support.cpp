#include "support.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

namespace grevy::fuzz {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    const fs::path memory = "/dev/shm";
    const fs::path parent = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    std::string name = (parent / "grevy-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const fs::path& folder() {
  static const Folder folder;
  return folder.path();
}

bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

bool is_control(char letter) {
  const auto byte = static_cast<unsigned char>(letter);
  return byte < 0x20 || byte == 0x7F;
}

}  // namespace

fs::path output_file() { return folder() / "output"; }

fs::path write_input(std::string_view bytes) {
  const fs::path file = folder() / "input";
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw std::runtime_error("the input could not be written");
  return file;
}

std::pair<std::string_view, std::string_view> split(std::string_view text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  return {text.substr(0, at), text.substr(std::min(at + 1, text.size()))};
}

void check_message(const Error& error, const std::string& start, std::size_t longest) {
  const std::string message = error.what();
  expect(message.size() > start.size(), "a message says nothing");
  expect(message.compare(0, start.size(), start) == 0, "a message begins otherwise: " + message);
  const bool has_bad_schema = message.find("the schema itself is wrong: ") != std::string::npos;
  expect(error.code() != ErrorCode::internal || has_bad_schema, "a defect: " + message);
  expect(message.size() <= longest, "a message is too long: " + message);
  expect(is_utf8(message), "a message is no UTF-8");
  expect(std::none_of(message.begin(), message.end(), is_control),
         "a message has control characters: " + message);
}

}  // namespace grevy::fuzz

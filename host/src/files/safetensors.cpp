#include "files/atomic_file.hpp"
#include "files/file_hash.hpp"
#include "files/input_file.hpp"
#include "files/safetensors_header.hpp"

#include <grevy/error.hpp>
#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

namespace grevy::host {

namespace {

using namespace safetensors;
using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kHeaderLimit = 100'000'000;
constexpr const char* kWanted = "a safetensors file";

std::uint64_t decode_length(const std::array<unsigned char, kLengthBytes>& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

std::string encode_length(std::uint64_t value) {
  std::string bytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
  return bytes;
}

std::string read_header(InputFile& input, const std::string& file) {
  if (input.size() < kLengthBytes) {
    fail(file, std::string("is not ") + kWanted + ": it has " + std::to_string(input.size()) +
                   " bytes; the header's length alone takes 8");
  }
  std::array<unsigned char, kLengthBytes> bytes{};
  input.read(0, bytes.data(), kLengthBytes);
  const std::uint64_t length = decode_length(bytes);
  if (length > kHeaderLimit) {
    fail(file, std::string("is not ") + kWanted + ": it asks for a header of " +
                   std::to_string(length) + " bytes; at most " + std::to_string(kHeaderLimit) +
                   " are allowed");
  }
  if (!input.holds(kLengthBytes, length)) {
    fail(file, "is truncated: the header needs " + std::to_string(length) +
                   " bytes, the file has " + std::to_string(input.size() - kLengthBytes) +
                   " after its length");
  }
  return input.read(kLengthBytes, length);
}

// ---- checksum ----

const std::string kNoDigits(64, '0');

// Where the digits of the checksum are; npos: it has none. In names and values of metadata quotes
// are escaped, so that this text is nowhere else.
std::size_t checksum_at(const std::string& header) {
  const std::string before = Json(checksum_key).dump() + ":\"";
  const std::size_t at = header.find(before);
  const bool has_room =
      at != std::string::npos && header.size() - at - before.size() > kNoDigits.size();
  return has_room ? at + before.size() : std::string::npos;
}

std::string_view view(const std::vector<unsigned char>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// `pieces`: a whole file, first the header's length, then the header.
void fill_in_checksum(std::string& header, const std::vector<std::string_view>& pieces) {
  Sha256 hash;
  for (const std::string_view piece : pieces) hash.add(piece);
  header.replace(checksum_at(header), kNoDigits.size(), hash.digits());
}

// Follows a file that is being read; does nothing where it has no checksum.
class ChecksumReader {
 public:
  ChecksumReader(std::string header, const std::map<std::string, std::string>& metadata,
                 std::string file)
      : file_(std::move(file)) {
    const auto found = metadata.find(checksum_key);
    if (found == metadata.end()) return;
    expected_ = found->second;
    const std::size_t at = checksum_at(header);
    if (at == std::string::npos || header.compare(at, kNoDigits.size() + 1, expected_ + "\"") != 0)
      fail(file_, "header: the checksum is not 64 hexadecimal digits");
    hash_.add(encode_length(header.size()));
    hash_.add(header.replace(at, kNoDigits.size(), kNoDigits));
  }
  void add(const std::vector<unsigned char>& bytes) {
    if (!expected_.empty()) hash_.add(view(bytes));
  }
  void finish() {
    if (!expected_.empty() && hash_.digits() != expected_)
      fail(file_, "is damaged: its bytes do not give its checksum");
  }

 private:
  std::string file_, expected_;
  Sha256 hash_;
};

std::size_t checked_element_size(const std::string& file, const std::string& name,
                                 const StoredTensor& tensor) {
  if (name == metadata_name) fail(file, tensor_text(name) + ": the name is reserved by the format");
  const std::uint64_t needed = byte_count(tensor, file, tensor_text(name));
  if (needed != tensor.bytes.size()) {
    fail(file, tensor_text(name) + ": dtype and shape need " + std::to_string(needed) +
                   " bytes; found " + std::to_string(tensor.bytes.size()));
  }
  return element_size(tensor.dtype);
}

using Item = std::pair<const std::string, StoredTensor>;

// Larger elements first, so that each tensor lies at a multiple of its element size.
std::vector<const Item*> data_order(const StoredTensors& content, const std::string& file) {
  std::vector<std::pair<std::size_t, const Item*>> sized;
  for (const Item& item : content.tensors) {
    sized.emplace_back(checked_element_size(file, item.first, item.second), &item);
  }
  std::stable_sort(sized.begin(), sized.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<const Item*> order;
  for (const auto& [size, item] : sized) order.push_back(item);
  return order;
}

std::string make_header(const StoredTensors& content, const std::vector<const Item*>& order,
                        const std::string& file) {
  Json header = Json::object();
  if (!content.metadata.empty()) header[metadata_name] = content.metadata;
  if (content.metadata.count(checksum_key) != 0) header[metadata_name][checksum_key] = kNoDigits;
  std::uint64_t at = 0;
  for (const Item* item : order) {
    const StoredTensor& tensor = item->second;
    const std::uint64_t end = at + tensor.bytes.size();
    header[item->first] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    fail(file, "a tensor's name or the metadata are not valid UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kHeaderLimit) {
    fail(file, "the header would have " + std::to_string(text.size()) + " bytes; at most " +
                   std::to_string(kHeaderLimit) + " are allowed");
  }
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& file, const StoredTensors& content) {
  const std::vector<const Item*> order = data_order(content, file.string());
  std::string header = make_header(content, order, file.string());
  const std::string length = encode_length(header.size());
  std::vector<std::string_view> pieces{length, header};
  for (const Item* item : order) pieces.push_back(view(item->second.bytes));
  if (content.metadata.count(checksum_key) != 0) fill_in_checksum(header, pieces);
  write_file_atomically(file, pieces);
}

StoredTensors read_safetensors(const std::filesystem::path& file) {
  const std::string name = file.string();
  InputFile input(file, ErrorCode::invalid_value, kWanted);
  const std::string header = read_header(input, name);
  Header parsed = parse_header(header, name);
  const std::uint64_t data_at = kLengthBytes + header.size();
  const auto order = ordered_entries(parsed.entries, input.size() - data_at, name);
  ChecksumReader checksum(header, parsed.metadata, name);
  StoredTensors content;
  content.metadata = std::move(parsed.metadata);
  for (auto* item : order) {
    auto& [tensor_name, entry] = *item;
    StoredTensor& tensor = content.tensors[tensor_name] = std::move(entry.tensor);
    tensor.bytes.resize(entry.end - entry.begin);
    input.read(data_at + entry.begin, tensor.bytes.data(), tensor.bytes.size());
    checksum.add(tensor.bytes);
  }
  checksum.finish();
  return content;
}

}  // namespace grevy::host

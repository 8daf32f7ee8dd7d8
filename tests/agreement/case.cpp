#include "case.hpp"

#include "files/npy_header.hpp"

#include <fstream>
#include <iterator>

namespace grevy::agreement {
namespace {

std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream || std::filesystem::is_directory(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

at::ScalarType scalar_type(host::ElementType type, const std::string& where) {
  if (type == host::ElementType::float32) return at::kFloat;
  if (type == host::ElementType::float64) return at::kDouble;
  if (type == host::ElementType::int64) return at::kLong;
  throw Error(ErrorCode::invalid_type,
              where + ": holds " + host::to_string(type) + "; must hold float32, float64 or int64");
}

at::Tensor read_array(const std::filesystem::path& file) {
  const std::string where = file.string();
  std::string bytes = read_bytes(file);
  const auto prefix = std::string_view(bytes).substr(0, host::npy_prefix_bytes);
  if (!host::has_npy_magic(prefix)) throw Error(ErrorCode::invalid_type, where + ": is no .npy");
  const std::size_t header_bytes = host::npy_header_bytes(prefix, where);
  const auto header =
      host::parse_npy_header(std::string_view(bytes).substr(0, header_bytes), where);
  if (header.shape.size() != 1 || header.swapped || header.file_bytes() != bytes.size())
    throw Error(ErrorCode::invalid_value, where + ": must be one complete axis, little endian");
  const auto type = scalar_type(header.type, where);
  return at::from_blob(bytes.data() + header.data_offset, header.shape, type).clone();
}

}  // namespace

const at::Tensor& ArrayFiles::open(const std::string& name) {
  const auto found = arrays_.find(name);
  if (found != arrays_.end()) return found->second;
  return arrays_[name] = read_array(folder_ / name);
}

Case::Case(std::string name, Json content, std::shared_ptr<ArrayFiles> files)
    : name_(std::move(name)), content_(std::move(content)), files_(std::move(files)) {}

bool Case::has_tensor(const std::string& tensor) const {
  return content_.at("tensors").contains(tensor);
}

at::Tensor Case::tensor(const std::string& tensor) const {
  if (!has_tensor(tensor)) throw Error(ErrorCode::not_found, "the case has no \"" + tensor + "\"");
  const Json& place = content_.at("tensors").at(tensor);
  const at::Tensor& all = files_->open(place.at("file").get<std::string>());
  const auto begin = place.at("at").get<std::int64_t>();
  const auto shape = place.at("shape").get<std::vector<std::int64_t>>();
  std::int64_t count = 1;
  for (const std::int64_t n : shape) count *= n;
  if (begin < 0 || count < 0 || begin + count > all.numel())
    throw Error(ErrorCode::invalid_value, "\"" + tensor + "\" lies outside its file");
  return all.slice(0, begin, begin + count).reshape(shape).clone();
}

double Case::number(const std::string& name) const { return tensor(name).item<double>(); }

NamedTensors Case::tensors(const std::string& prefix) const {
  NamedTensors found;
  for (const auto& item : content_.at("tensors").items())
    if (item.key().rfind(prefix, 0) == 0)
      found.push_back({item.key().substr(prefix.size()), tensor(item.key()), true});
  return found;
}

std::vector<std::int64_t> whole_numbers(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  const auto* first = values.data_ptr<std::int64_t>();
  return {first, first + values.numel()};
}

std::vector<Case> read_folder(const std::filesystem::path& folder) {
  const auto file = folder / "manifest.json";
  const std::string text = read_bytes(file);
  const auto files = std::make_shared<ArrayFiles>(folder);
  std::vector<Case> cases;
  try {
    const Json manifest = Json::parse(text);
    for (const auto& item : manifest.at("cases").items())
      cases.emplace_back(item.key(), item.value(), files);
  } catch (const Json::exception& e) {
    throw Error(ErrorCode::invalid_value, file.string() + ": " + e.what());
  }
  return cases;
}

}  // namespace grevy::agreement

#include "files/safetensors_header.hpp"

#include <grevy/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

namespace grevy::host {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kRankLimit = 64;

constexpr std::pair<std::string_view, std::size_t> kElementSizes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"I16", 2}, {"U16", 2}, {"F16", 2}, {"BF16", 2},
    {"I32", 4},  {"U32", 4}, {"F32", 4}, {"F64", 8}, {"I64", 8}, {"U64", 8},
};

// Names come from files: control characters, broken UTF-8 and great length must not reach a person.
std::string in_quotes(const std::string& name) {
  const std::string text =
      Json(name.substr(0, 80)).dump(-1, ' ', true, Json::error_handler_t::replace);
  return name.size() <= 80 ? text : text + "...";
}

std::string allowed_dtypes() {
  std::string text;
  for (const auto& [name, size] : kElementSizes)
    text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

}  // namespace

std::size_t element_size(const std::string& dtype) {
  for (const auto& [name, size] : kElementSizes) {
    if (name == dtype) return size;
  }
  return 0;
}

namespace safetensors {

void fail(const std::string& file, const std::string& what) {
  throw Error(ErrorCode::invalid_value, file + ": " + what);
}

std::string tensor_text(const std::string& name) { return "tensor " + in_quotes(name); }

std::uint64_t byte_count(const StoredTensor& tensor, const std::string& file,
                         const std::string& where) {
  std::uint64_t count = element_size(tensor.dtype);
  if (count == 0) {
    fail(file,
         where + ": unknown dtype " + in_quotes(tensor.dtype) + "; allowed: " + allowed_dtypes());
  }
  if (tensor.shape.size() > kRankLimit) {
    fail(file, where + ": the shape has more than " + std::to_string(kRankLimit) + " dimensions");
  }
  for (const std::int64_t length : tensor.shape) {
    if (length < 0)
      fail(file, where + ": the shape has the negative length " + std::to_string(length));
    const auto factor = static_cast<std::uint64_t>(length);
    if (factor != 0 && count > std::numeric_limits<std::uint64_t>::max() / factor) {
      fail(file, where + ": the shape is too large: its size overflows 64 bits");
    }
    count *= factor;
  }
  return count;
}

namespace {

// Takes exactly the header's shape, {name: {dtype, shape, data_offsets}} and metadata, event by
// event: deeper nesting, unknown keys, repeated keys and other types end the reading at once.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(std::string file) : file_(std::move(file)) {}

  Header header;

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) return go(Place::names);
    if (place_ != Place::names) refuse("an object");
    if (name_ == metadata_name) return go(Place::metadata);
    entry_ = {};
    seen_.clear();
    return go(Place::tensor);
  }

  bool end_object() override {
    if (place_ == Place::names) return go(Place::outside);
    if (place_ == Place::tensor) finish_tensor();
    return go(Place::names);
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || key_ == "dtype") refuse("an array");
    numbers_.clear();
    return go(Place::numbers);
  }

  bool end_array() override {
    if (key_ == "shape") {
      entry_.tensor.shape = numbers_;
    } else if (numbers_.size() == 2) {
      entry_.begin = static_cast<std::uint64_t>(numbers_[0]);
      entry_.end = static_cast<std::uint64_t>(numbers_[1]);
    } else {
      fail(file_, where() + ": found " + std::to_string(numbers_.size()) +
                      " numbers; must be 2: begin and end");
    }
    return go(Place::tensor);
  }

  bool key(string_t& text) override {
    if (place_ == Place::names) {
      name_ = text;
      key_.clear();
      if (!names_.insert(text).second)
        fail(file_, "header: the name " + in_quotes(text) + " is repeated");
      return true;
    }
    key_ = text;
    if (place_ == Place::metadata) return add_metadata_key();
    if (text != "dtype" && text != "shape" && text != "data_offsets") {
      fail(file_, tensor_text(name_) + ": unknown key " + in_quotes(text) +
                      "; allowed: dtype, shape, data_offsets");
    }
    if (!seen_.insert(text).second) fail(file_, where() + ": the key is repeated");
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      header.metadata[key_] = text;
    } else if (place_ == Place::tensor && key_ == "dtype") {
      entry_.tensor.dtype = text;
    } else {
      refuse("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto limit = std::numeric_limits<std::int64_t>::max();
    if (place_ != Place::numbers || value > static_cast<std::uint64_t>(limit)) {
      refuse("the number " + std::to_string(value));
    }
    if (numbers_.size() >= kRankLimit) {
      fail(file_, where() + ": more than " + std::to_string(kRankLimit) + " numbers");
    }
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool null() override { refuse("null"); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    refuse("the number " + std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    refuse("the number " + text.substr(0, 80));
  }
  bool binary(binary_t&) override { refuse("binary data"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fail(file_, "header: not valid JSON at its byte " + std::to_string(position));
  }

 private:
  enum class Place { outside, names, metadata, tensor, numbers };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  bool add_metadata_key() {
    if (!header.metadata.emplace(key_, "").second) fail(file_, where() + ": the key is repeated");
    return true;
  }

  std::string where() const {
    if (names_.empty()) return "header";
    const std::string owner = name_ == metadata_name ? metadata_name : tensor_text(name_);
    return key_.empty() ? owner : owner + ", " + in_quotes(key_);
  }

  std::string allowed() const {
    if (place_ == Place::outside || place_ == Place::names) return "an object";
    if (place_ == Place::metadata || key_ == "dtype") return "a string";
    return place_ == Place::tensor ? "an array of integers" : "an integer from 0 to 2^63-1";
  }

  [[noreturn]] void refuse(const std::string& found) const {
    fail(file_, where() + ": found " + found + "; must be " + allowed());
  }

  void finish_tensor() {
    key_.clear();
    for (const char* needed : {"dtype", "shape", "data_offsets"}) {
      if (seen_.count(needed) == 0)
        fail(file_, where() + ": the key \"" + needed + "\" is missing");
    }
    if (entry_.begin > entry_.end) fail(file_, where() + ": data_offsets end before they begin");
    const std::uint64_t needed = byte_count(entry_.tensor, file_, where());
    const std::uint64_t found = entry_.end - entry_.begin;
    if (needed != found) {
      fail(file_, where() + ": dtype and shape need " + std::to_string(needed) +
                      " bytes, data_offsets give " + std::to_string(found));
    }
    header.entries.emplace(name_, std::move(entry_));
  }

  std::string file_;
  Place place_ = Place::outside;
  std::string name_;
  std::string key_;
  std::set<std::string> names_;
  std::set<std::string> seen_;
  std::vector<std::int64_t> numbers_;
  Entry entry_;
};

}  // namespace

Header parse_header(const std::string& text, const std::string& file) {
  if (text.empty() || text[0] != '{') fail(file, "header: must begin with {");
  // The JSON parser takes a zero byte for the end of the text.
  if (text.find('\0') != std::string::npos) fail(file, "header: not valid JSON: it has zero bytes");
  HeaderReader reader(file);
  Json::sax_parse(text, &reader);
  return std::move(reader.header);
}

std::vector<Entries::value_type*> ordered_entries(Entries& entries, std::uint64_t data_size,
                                                  const std::string& file) {
  std::vector<Entries::value_type*> order;
  for (auto& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t at = 0;
  for (const auto* item : order) {
    const Entry& entry = item->second;
    if (entry.begin != at) {
      fail(file, tensor_text(item->first) + ": its data begin at " + std::to_string(entry.begin) +
                     "; must be " + std::to_string(at) + ", without " +
                     (entry.begin > at ? "gap" : "overlap"));
    }
    at = entry.end;
  }
  if (at == data_size) return order;
  fail(file, std::string(at > data_size ? "is truncated: " : "has bytes that no tensor uses: ") +
                 "the tensors take " + std::to_string(at) + " bytes, the file has " +
                 std::to_string(data_size) + " after its header");
}

}  // namespace safetensors
}  // namespace grevy::host

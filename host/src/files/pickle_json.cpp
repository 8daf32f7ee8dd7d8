#include "files/pickle_json.hpp"

#include "files/npy_header.hpp"

#include <grevy/error.hpp>

#include <cstring>

namespace grevy::host {

namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::invalid_value, where + ": " + what);
}

template <typename T>
std::vector<double> widen(const std::vector<unsigned char>& bytes) {
  std::vector<double> numbers;
  numbers.reserve(bytes.size() / sizeof(T));
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T number;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    numbers.push_back(static_cast<double>(number));
  }
  return numbers;
}

struct Widening {
  const char* dtype;
  std::vector<double> (*run)(const std::vector<unsigned char>& bytes);
};

constexpr Widening kWidenings[] = {
    {"F32", widen<float>},        {"F64", widen<double>},       {"I64", widen<std::int64_t>},
    {"I32", widen<std::int32_t>}, {"I16", widen<std::int16_t>}, {"I8", widen<std::int8_t>},
    {"U8", widen<std::uint8_t>},
};

std::string key_text(const PickleValue& key, const std::string& where);

struct KeyText {
  const std::string& where;

  std::string operator()(const std::string& text) const { return text; }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(const PickleTuple& tuple) const {
    std::string joined;
    for (const PickleValue& item : tuple.items) {
      joined += (joined.empty() ? "" : "_") + key_text(item, where);
    }
    return joined;
  }
  template <typename Other>
  std::string operator()(const Other& other) const {
    fail(where, std::string("found ") + type_text({other}) +
                    " as a key; must be a text, an integer or a tuple of them");
  }
};

std::string key_text(const PickleValue& key, const std::string& where) {
  return std::visit(KeyText{where}, key.value);
}

struct ToJson {
  TorchFile& file;
  const std::string& where;

  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return value; }
  Json operator()(double value) const { return value; }
  Json operator()(const std::string& value) const { return value; }
  Json operator()(const PickleBytes&) const { fail(where, "found bytes; JSON has none"); }
  Json operator()(const PickleList& list) const { return array(list.items); }
  Json operator()(const PickleTuple& tuple) const { return array(tuple.items); }

  Json operator()(const PickleDict& dict) const {
    Json object = Json::object();
    for (const PickleItem& item : dict.items) {
      const std::string key = key_text(item.key, where);
      object[key] = to_json(item.value, file, key_place(where, key));
    }
    return object;
  }

  Json operator()(const TensorPointer& tensor) const {
    const StoredTensor stored = file.read(*tensor, where);
    const std::vector<double> numbers = to_doubles(stored, where);
    if (numbers.size() == 1) return numbers[0];
    fail(where, "found a tensor of " + std::to_string(numbers.size()) + " elements; must be 1");
  }

  Json operator()(const RecordPointer& record) const {
    return {{"type", record->global},
            {"args", array(record->args)},
            {"state", to_json(record->state, file, where)}};
  }

 private:
  Json array(const std::vector<PickleValue>& items) const {
    Json values = Json::array();
    for (const PickleValue& item : items) values.push_back(to_json(item, file, where));
    return values;
  }
};

}  // namespace

Json to_json(const PickleValue& value, TorchFile& file, const std::string& where) {
  return std::visit(ToJson{file, where}, value.value);
}

std::string key_place(const std::string& where, const std::string& key) {
  const bool nested = where.back() == '"';
  const std::string path = nested ? where.substr(0, where.size() - 1) + "/" : where + ", \"";
  return path + printable(key) + "\"";
}

std::vector<double> to_doubles(const StoredTensor& tensor, const std::string& where) {
  std::string allowed;
  for (const Widening& widening : kWidenings) {
    if (tensor.dtype == widening.dtype) return widening.run(tensor.bytes);
    allowed += (allowed.empty() ? "" : ", ") + std::string(widening.dtype);
  }
  fail(where, "found a tensor of dtype " + tensor.dtype + "; allowed: " + allowed);
}

}  // namespace grevy::host

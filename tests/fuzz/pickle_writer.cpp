#include "pickle_writer.hpp"

#include <cstdint>
#include <cstring>
#include <map>
#include <variant>

namespace grevy::fuzz {
namespace {

using namespace host;

std::string little_endian(std::uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xffU);
  return bytes;
}

std::string big_endian_double(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const std::string bytes = little_endian(bits, 8);
  return {bytes.rbegin(), bytes.rend()};
}

std::string text(const std::string& value) { return "X" + little_endian(value.size(), 4) + value; }

std::string integer(std::int64_t value) {
  return "\x8a\x08" + little_endian(static_cast<std::uint64_t>(value), 8);
}

std::string integers(const std::vector<std::int64_t>& values) {
  std::string all = "(";
  for (const std::int64_t value : values) all += integer(value);
  return all + "t";
}

std::string global(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return "c" + name.substr(0, dot) + "\n" + name.substr(dot + 1) + "\n";
}

const char* storage_class(const std::string& dtype) {
  static const std::map<std::string, const char*> names{
      {"F32", "FloatStorage"}, {"F64", "DoubleStorage"},    {"F16", "HalfStorage"},
      {"I64", "LongStorage"},  {"BF16", "BFloat16Storage"}, {"I32", "IntStorage"},
      {"I16", "ShortStorage"}, {"I8", "CharStorage"},       {"U8", "ByteStorage"},
      {"BOOL", "BoolStorage"}};
  return names.at(dtype);
}

struct Writer {
  std::string operator()(std::monostate) const { return "N"; }
  std::string operator()(bool value) const { return value ? "\x88" : "\x89"; }
  std::string operator()(std::int64_t value) const { return integer(value); }
  std::string operator()(double value) const { return "G" + big_endian_double(value); }
  std::string operator()(const std::string& value) const { return text(value); }
  std::string operator()(const PickleBytes& value) const {
    return "B" + little_endian(value.bytes.size(), 4) + value.bytes;
  }
  std::string operator()(const PickleList& list) const { return "](" + all(list.items) + "e"; }
  std::string operator()(const PickleTuple& tuple) const { return "(" + all(tuple.items) + "t"; }

  std::string operator()(const PickleDict& dict) const {
    std::string items;
    for (const PickleItem& item : dict.items) items += one(item.key) + one(item.value);
    return "}(" + items + "u";
  }

  std::string operator()(const TensorPointer& tensor) const {
    const std::string storage =
        "(" + text("storage") + global(std::string("torch.") + storage_class(tensor->dtype)) +
        text(tensor->storage_key) + text("cpu") + integer(tensor->storage_elements) + "tQ";
    return global("torch._utils._rebuild_tensor_v2") + "(" + storage + integer(tensor->offset) +
           integers(tensor->shape) + integers(tensor->stride) + (*this)(tensor->requires_grad) +
           "}tR";
  }

  // A constant has neither arguments nor a state; a call without either gives the same record.
  std::string operator()(const RecordPointer& record) const {
    const bool constant = record->global.rfind("torch.", 0) == 0 && record->global != kDevice;
    if (constant) return global(record->global);
    return global(record->global) + "(" + all(record->args) + "tR" + one(record->state) + "b";
  }

 private:
  static constexpr const char* kDevice = "torch.device";

  std::string one(const PickleValue& value) const { return std::visit(*this, value.value); }
  std::string all(const std::vector<PickleValue>& values) const {
    std::string bytes;
    for (const PickleValue& value : values) bytes += one(value);
    return bytes;
  }
};

}  // namespace

std::string pickle_of(const PickleValue& value) {
  return "\x80\x03" + std::visit(Writer{}, value.value) + ".";
}

}  // namespace grevy::fuzz

#include "ops/arguments.hpp"

#include <grevy/detail/text.hpp>
#include <grevy/error.hpp>

#include <ATen/ScalarOps.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace grevy::host {
namespace {

constexpr std::pair<std::uint32_t, at::ScalarType> dtypes[] = {
    {GREVY_FLOAT32, at::kFloat}, {GREVY_FLOAT64, at::kDouble}, {GREVY_INT64, at::kLong},
    {GREVY_INT32, at::kInt},     {GREVY_UINT8, at::kByte},     {GREVY_BOOL, at::kBool},
};

constexpr std::uint64_t max_inputs = 4096;  // of "cat/1" and the like
constexpr std::uint64_t max_list = 64;      // axes that LibTorch can have
constexpr std::uint64_t max_text = 4096;    // bytes of an equation

[[noreturn]] void refuse(ErrorCode code, const std::string& found) {
  throw Error(code, "found " + found);
}

// The next word of a signature, taken off it.
std::string_view next_word(std::string_view& words) {
  const auto end = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

bool is_optional(std::string_view word) { return word.back() == '?'; }

// Names without kinds, "..." for any number.
std::string listed(std::string_view words) {
  std::string text;
  while (!words.empty()) {
    const std::string_view word = next_word(words);
    text += (text.empty() ? "" : ", ") + std::string(word.substr(0, word.find_first_of(":?*")));
    if (is_optional(word)) text += '?';
    if (word.back() == '*') text += "...";
  }
  return text;
}

void check_inputs(std::string_view words, grevy_tensor* const* inputs, std::uint64_t count) {
  const std::string all = std::to_string(count) + (count == 1 ? " input" : " inputs");
  if (count > max_inputs || (count > 0 && inputs == nullptr)) refuse(ErrorCode::invalid_value, all);
  std::uint64_t i = 0;
  while (!words.empty()) {
    const std::string_view word = next_word(words);
    const bool many = word.back() == '*';
    do {
      const bool given = i < count && inputs[i] != nullptr;
      if (!given && !is_optional(word))
        refuse(ErrorCode::invalid_value, i < count ? "NULL for input " + std::to_string(i) : all);
      ++i;
    } while (many && i < count);
  }
  if (i < count) refuse(ErrorCode::invalid_value, all);
}

bool fits(char kind, const grevy_attribute& attribute) {
  const bool readable = attribute.data != nullptr || attribute.count == 0;
  switch (attribute.kind) {
    case GREVY_ATTRIBUTE_INTEGER:
    case GREVY_ATTRIBUTE_BOOLEAN:
      return kind == 'i' || kind == 'n';
    case GREVY_ATTRIBUTE_NUMBER:
      return kind == 'n';
    case GREVY_ATTRIBUTE_INTEGERS:
      return kind == 'l' && readable && attribute.count <= max_list;
    case GREVY_ATTRIBUTE_TEXT:
      return kind == 't' && readable && attribute.count <= max_text;
    case GREVY_ATTRIBUTE_GENERATOR:
      return kind == 'g' && attribute.data != nullptr;
    default:
      return false;
  }
}

void check_attributes(std::string_view words, const grevy_attribute* attributes,
                      std::uint64_t count) {
  constexpr std::uint64_t most = 8;
  const std::string all = std::to_string(count) + (count == 1 ? " attribute" : " attributes");
  if (count > most || (count > 0 && attributes == nullptr)) refuse(ErrorCode::invalid_value, all);
  std::uint64_t i = 0;
  for (; !words.empty(); ++i) {
    const std::string_view word = next_word(words);
    const std::string name(word.substr(0, word.find(':')));
    const bool given = i < count && attributes[i].kind != GREVY_ATTRIBUTE_NONE;
    if (!given && !is_optional(word)) refuse(ErrorCode::invalid_value, "no \"" + name + "\"");
    if (given && !fits(word[name.size() + 1], attributes[i]))
      refuse(ErrorCode::invalid_type, "another kind of attribute for \"" + name + "\": kind " +
                                          std::to_string(attributes[i].kind) + ", count " +
                                          std::to_string(attributes[i].count));
  }
  if (i < count) refuse(ErrorCode::invalid_value, all);
}

}  // namespace

std::string describe(const Signature& signature) {
  std::string text = "(" + listed(signature.inputs) + ")";
  if (!signature.attributes.empty()) text += " [" + listed(signature.attributes) + "]";
  return text;
}

at::ScalarType dtype_of(std::uint64_t number) {
  for (const auto& [known, type] : dtypes)
    if (known == number) return type;
  refuse(ErrorCode::invalid_type,
         "type " + std::to_string(number) + "; types are GREVY_FLOAT32 (0) to GREVY_BOOL (5)");
}

std::uint32_t number_of(at::ScalarType type) {
  for (const auto& [number, known] : dtypes)
    if (known == type) return number;
  return GREVY_OTHER_TYPE;
}

void check_sizes(at::IntArrayRef sizes) {
  if (sizes.size() > max_list)
    refuse(ErrorCode::invalid_value, std::to_string(sizes.size()) + " axes; at most 64");
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) {
    if (size < 0) refuse(ErrorCode::invalid_value, "a size of " + std::to_string(size));
    if (size > max_elements || (size > 0 && count > max_elements / size))
      refuse(ErrorCode::invalid_value, "more than 2^32 elements");
    count *= size;
  }
}

at::IntArrayRef sizes_of(const std::int64_t* sizes, std::uint64_t dims) {
  if (sizes == nullptr && dims > 0)
    refuse(ErrorCode::invalid_value, "NULL for " + std::to_string(dims) + " sizes");
  const at::IntArrayRef all(sizes, dims);
  check_sizes(all);
  return all;
}

Arguments::Arguments(const Signature& signature, grevy_tensor* const* inputs,
                     std::uint64_t input_count, const grevy_attribute* attributes,
                     std::uint64_t attribute_count)
    : inputs_(inputs),
      input_count_(input_count),
      attributes_(attributes),
      attribute_count_(attribute_count) {
  check_inputs(signature.inputs, inputs, input_count);
  check_attributes(signature.attributes, attributes, attribute_count);
}

at::Tensor Arguments::tensor(std::size_t i) const {
  return i < input_count_ ? borrow(inputs_[i]) : at::Tensor();
}

std::vector<at::Tensor> Arguments::tensors() const {
  std::vector<at::Tensor> all;
  for (std::size_t i = 0; i < input_count_; ++i) all.push_back(tensor(i));
  return all;
}

at::Tensor Arguments::operand(std::size_t i, std::size_t number) const {
  at::Tensor given = tensor(i);
  if (given.defined()) return given;
  const bool is_alone = std::all_of(inputs_, inputs_ + input_count_, [](auto* t) { return !t; });
  if (is_alone || !has(number))
    refuse(ErrorCode::invalid_value, is_alone ? "no tensor" : "neither a tensor nor a number");
  // As LibTorch does itself: a number does not widen the type of the other operand.
  at::Tensor wrapped = c10::scalar_to_tensor(scalar(number));
  wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
  return wrapped;
}

bool Arguments::has(std::size_t i) const {
  return i < attribute_count_ && attributes_[i].kind != GREVY_ATTRIBUTE_NONE;
}

std::int64_t Arguments::integer(std::size_t i, std::int64_t otherwise) const {
  return has(i) ? attributes_[i].integer : otherwise;
}

std::int64_t Arguments::positive(std::size_t i, std::int64_t otherwise) const {
  const std::int64_t value = integer(i, otherwise);
  if (value < 1) refuse(ErrorCode::invalid_value, std::to_string(value) + "; must be 1 or more");
  return value;
}

std::int64_t Arguments::small(std::size_t i, std::int64_t least, std::int64_t otherwise) const {
  const std::int64_t value = integer(i, otherwise);
  if (value >= least && value <= INT32_MAX) return value;
  refuse(ErrorCode::invalid_value,
         std::to_string(value) + "; must be " + std::to_string(least) + " or more, below 2^31");
}

bool Arguments::flag(std::size_t i, bool otherwise) const { return integer(i, otherwise) != 0; }

double Arguments::number(std::size_t i, double otherwise) const {
  if (!has(i)) return otherwise;
  return attributes_[i].kind == GREVY_ATTRIBUTE_NUMBER ? attributes_[i].number
                                                       : static_cast<double>(integer(i));
}

at::Scalar Arguments::scalar(std::size_t i) const {
  if (attributes_[i].kind == GREVY_ATTRIBUTE_NUMBER) return attributes_[i].number;
  if (attributes_[i].kind == GREVY_ATTRIBUTE_BOOLEAN) return flag(i);
  return integer(i);
}

at::IntArrayRef Arguments::list(std::size_t i) const {
  if (!has(i)) return {};
  return {static_cast<const std::int64_t*>(attributes_[i].data), attributes_[i].count};
}

std::string Arguments::text(std::size_t i) const {
  if (!has(i)) return {};
  return {static_cast<const char*>(attributes_[i].data), attributes_[i].count};
}

at::Generator Arguments::generator(std::size_t i) const {
  return static_cast<const grevy_generator*>(attributes_[i].data)->generator;
}

at::IntArrayRef Arguments::sizes(std::size_t i) const {
  check_sizes(list(i));
  return list(i);
}

at::TensorOptions Arguments::options(std::size_t like, std::size_t dtype,
                                     std::uint32_t otherwise) const {
  const at::Tensor model = tensor(like);
  at::TensorOptions options =
      model.defined() ? at::TensorOptions().dtype(model.scalar_type()).device(model.device())
                      : at::TensorOptions().dtype(dtype_of(otherwise));
  if (has(dtype)) options = options.dtype(dtype_of(static_cast<std::uint64_t>(integer(dtype))));
  return options;
}

}  // namespace grevy::host

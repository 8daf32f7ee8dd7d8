// What an operation of grevy/ops.h is given, checked against what it takes.
#ifndef GREVY_HOST_OPS_ARGUMENTS_HPP
#define GREVY_HOST_OPS_ARGUMENTS_HPP

#include <grevy/ops.h>
#include <grevy/tensor.hpp>

#include <ATen/ATen.h>

#include <string>
#include <string_view>
#include <vector>

// A generator of a plugin is one of LibTorch.
struct grevy_generator {
  at::Generator generator;
};

namespace grevy::host {

constexpr std::int64_t max_elements = std::int64_t{1} << 32;  // of a tensor made from sizes

// What an operation takes. inputs: words, "x" one tensor, "x?" one or none, "x*" one or more (the
// last word). attributes: words "name:kind" or "name:kind?", kinds i (integer), n (number), l (list
// of integers), t (text), g (generator).
struct Signature {
  std::string_view inputs, attributes;
};

// "(x, weight, bias?) [stride?, groups?]"
std::string describe(const Signature& signature);

// Type of elements by its number in ops.h, and the other way. Errors: invalid_type.
at::ScalarType dtype_of(std::uint64_t number);
std::uint32_t number_of(at::ScalarType type);

// Errors: invalid_value for a size below 0, more than max_elements, more axes than LibTorch can
// have.
void check_sizes(at::IntArrayRef sizes);
// Sizes that a plugin gives. Errors: as above, and for NULL where there are axes.
at::IntArrayRef sizes_of(const std::int64_t* sizes, std::uint64_t dims);

// The arguments of one call, lent for it.
class Arguments {
 public:
  // Errors: invalid_value (numbers, NULL where something is needed), invalid_type (kinds).
  Arguments(const Signature& signature, grevy_tensor* const* inputs, std::uint64_t input_count,
            const grevy_attribute* attributes, std::uint64_t attribute_count);

  at::Tensor tensor(std::size_t i) const;  // undefined where left out
  std::vector<at::Tensor> tensors() const;
  // The tensor, or the number of the attribute where it is left out: of the operands a and b one.
  at::Tensor operand(std::size_t i, std::size_t number) const;

  bool has(std::size_t i) const;  // of attributes, like all that follow
  std::int64_t integer(std::size_t i, std::int64_t otherwise = 0) const;
  std::int64_t positive(std::size_t i, std::int64_t otherwise) const;
  // Of a convolution, which counts in 32 bits in places: from `least` on.
  std::int64_t small(std::size_t i, std::int64_t least, std::int64_t otherwise) const;
  bool flag(std::size_t i, bool otherwise = false) const;
  double number(std::size_t i, double otherwise = 0) const;
  at::Scalar scalar(std::size_t i) const;
  at::IntArrayRef list(std::size_t i) const;
  std::string text(std::size_t i) const;
  at::Generator generator(std::size_t i) const;
  // The sizes of a tensor to be made, and its type and device: those of `like`, or the attribute's.
  at::IntArrayRef sizes(std::size_t i) const;
  at::TensorOptions options(std::size_t like, std::size_t dtype,
                            std::uint32_t otherwise = GREVY_FLOAT32) const;

 private:
  grevy_tensor* const* inputs_;
  std::size_t input_count_;
  const grevy_attribute* attributes_;
  std::size_t attribute_count_;
};

}  // namespace grevy::host

#endif

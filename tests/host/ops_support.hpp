// The extensions of a host, asked for as a plugin does, and calls of them.
#ifndef GREVY_TESTS_OPS_SUPPORT_HPP
#define GREVY_TESTS_OPS_SUPPORT_HPP

#include "host/plugin_support.hpp"

#include <grevy/kernel.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace grevy::tests {

// The grevy_host that a plugin is given. It lives as long as the tests.
const grevy_host& plugin_host();
const grevy_ops& ops();
const grevy_kernels& kernels();

using Tensors = std::vector<at::Tensor>;

// An attribute and what its data points to.
struct Attribute {
  grevy_attribute c{};
  std::vector<std::int64_t> list;
  std::string text;
};
inline const Attribute none{};
inline Attribute integer(std::int64_t value) {
  return {{GREVY_ATTRIBUTE_INTEGER, 0, value, 0, nullptr, 0}, {}, {}};
}
inline Attribute boolean(bool value) {
  return {{GREVY_ATTRIBUTE_BOOLEAN, 0, value, 0, nullptr, 0}, {}, {}};
}
inline Attribute number(double value) {
  return {{GREVY_ATTRIBUTE_NUMBER, 0, 0, value, nullptr, 0}, {}, {}};
}
inline Attribute list(std::vector<std::int64_t> values) {
  return {{GREVY_ATTRIBUTE_INTEGERS, 0, 0, 0, nullptr, 0}, std::move(values), {}};
}
inline Attribute text(std::string value) {
  return {{GREVY_ATTRIBUTE_TEXT, 0, 0, 0, nullptr, 0}, {}, std::move(value)};
}
inline Attribute generator(grevy_generator* value) {
  return {{GREVY_ATTRIBUTE_GENERATOR, 0, 0, 0, value, 0}, {}, {}};
}

// What an operation gives. Errors: PluginError.
at::Tensor run(std::uint32_t op, const Tensors& inputs, std::vector<Attribute> attributes = {});

// A generator at the start of a seed's stream; it lives as long as the tests.
grevy_generator* seeded(std::uint64_t seed);

std::vector<grevy_tensor*> lend_all(const Tensors& tensors);

// Calls a slot with an error sink. Errors: PluginError.
template <class Call>
void checked(Call&& call) {
  detail::ErrorCatcher({"host", "ops", "slot"}).run(std::forward<Call>(call));
}

}  // namespace grevy::tests

#endif

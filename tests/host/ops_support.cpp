#include "host/ops_support.hpp"

#include <memory>

namespace grevy::tests {
namespace {

const grevy_host* given_host = nullptr;

std::int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink*) {
  given_host = args->host;
  *self = &given_host;
  return GREVY_OK;
}

constexpr grevy_criterion_table table = {sizeof(grevy_criterion_table),
                                         0,
                                         create,
                                         [](void*) {},
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr};

struct Release {
  void operator()(grevy_generator* generator) const { ops().release_generator(generator); }
};

}  // namespace

const grevy_host& plugin_host() {
  static host::Host host(only({}));
  if (given_host != nullptr) return *given_host;
  static const grevy_component component = {
      sizeof(component), GREVY_KIND_CRITERION,
      detail::text_of(R"({"kind":"criterion","name":"asks","aliases":[],"version":"1",)"
                      R"("summary":"Asks.","options":{}})"),
      detail::text_of("asks"), &table};
  static const grevy_component* const components[] = {&component};
  static const grevy_plugin plugin = {
      sizeof(plugin),          GREVY_ABI_MAJOR,      GREVY_ABI_MINOR,     1,
      detail::text_of("asks"), detail::text_of("1"), detail::text_of(""), components};
  host.add(&plugin);
  host.create_criterion("asks", "{}", {});
  return *given_host;
}

const grevy_ops& ops() {
  const grevy_host& host = plugin_host();
  static const void* table = host.extension(&host, detail::text_of(GREVY_OPS_EXTENSION));
  return *static_cast<const grevy_ops*>(table);
}

const grevy_kernels& kernels() {
  const grevy_host& host = plugin_host();
  static const void* table = host.extension(&host, detail::text_of(GREVY_KERNEL_EXTENSION));
  return *static_cast<const grevy_kernels*>(table);
}

grevy_generator* seeded(std::uint64_t seed) {
  grevy_generator* made = nullptr;
  checked([&](auto* errors) { return ops().make_generator(seed, &made, errors); });
  static std::vector<std::unique_ptr<grevy_generator, Release>> kept;
  kept.emplace_back(made);
  return made;
}

std::vector<grevy_tensor*> lend_all(const Tensors& tensors) {
  std::vector<grevy_tensor*> handles;
  for (const at::Tensor& tensor : tensors) handles.push_back(lend(tensor));
  return handles;
}

at::Tensor run(std::uint32_t op, const Tensors& inputs, std::vector<Attribute> attributes) {
  const std::vector<grevy_tensor*> handles = lend_all(inputs);
  std::vector<grevy_attribute> c;
  for (Attribute& attribute : attributes) {
    if (attribute.c.kind == GREVY_ATTRIBUTE_INTEGERS) {
      attribute.c.data = attribute.list.data();
      attribute.c.count = attribute.list.size();
    }
    if (attribute.c.kind == GREVY_ATTRIBUTE_TEXT) {
      attribute.c.data = attribute.text.data();
      attribute.c.count = attribute.text.size();
    }
    c.push_back(attribute.c);
  }
  grevy_tensor* output = nullptr;
  checked([&](auto* errors) {
    return ops().call(op, handles.data(), handles.size(), c.data(), c.size(), &output, 1, errors);
  });
  return take(output);
}

}  // namespace grevy::tests

#include "ops/boundary.hpp"
#include "ops/functions.hpp"
#include "ops/rows.hpp"

namespace grevy::host {
namespace {

std::uint32_t find(grevy_text name) {
  for (std::uint32_t op = 0; op < row_count(); ++op)
    if (find_row(op)->name == detail::view(name)) return op;
  return UINT32_MAX;
}

const std::string& takes(std::uint32_t op) {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> all;
    for (std::uint32_t i = 0; i < row_count(); ++i) all.push_back(describe(find_row(i)->signature));
    return all;
  }();
  return texts[op];
}

const OpRow& known(std::uint32_t op, ErrorCode code) {
  if (const OpRow* row = find_row(op)) return *row;
  throw Error(code, "there is no operation " + std::to_string(op) + "; this host has 0 to " +
                        std::to_string(row_count() - 1));
}

std::int32_t describe_op(std::uint32_t op, grevy_op_info* info, const grevy_error_sink* errors) {
  return answer("describe", errors, [&] {
    GREVY_NEEDS(grevy_op_info, info, takes);
    const OpRow& row = known(op, ErrorCode::not_found);
    info->op = op;
    info->name = detail::text_of(row.name);
    info->takes = detail::text_of(takes(op));
    say_filled(*info);
  });
}

std::int32_t call(std::uint32_t op, grevy_tensor* const* inputs, std::uint64_t input_count,
                  const grevy_attribute* attributes, std::uint64_t attribute_count,
                  grevy_tensor** outputs, std::uint64_t output_count,
                  const grevy_error_sink* errors) {
  const OpRow* row = find_row(op);
  if (row == nullptr) return answer("call", errors, [&] { known(op, ErrorCode::unimplemented); });
  const auto run = [&] {
    if (output_count != 1 || outputs == nullptr)
      throw Error(ErrorCode::invalid_value,
                  "found room for " + std::to_string(output_count) + " outputs; it gives 1");
    const Arguments arguments(row->signature, inputs, input_count, attributes, attribute_count);
    outputs[0] = give(row->run(arguments));
  };
  return answer(row->name, errors, run, [&] { return "; it takes " + takes(op); });
}

grevy_ops make_ops() {
  grevy_ops table{};
  table.struct_size = sizeof(table);
  table.op_count = row_count();
  table.find = find;
  table.describe = describe_op;
  table.call = call;
  ops::fill_tensors(table);
  ops::fill_autograd(table);
  return table;
}

}  // namespace

const void* find_extension(std::string_view id) noexcept {
  static const grevy_ops operations = make_ops();
  if (id == GREVY_OPS_EXTENSION) return &operations;
  if (id == GREVY_KERNEL_EXTENSION) return &ops::kernels();
  if (id == GREVY_OPTIONS_EXTENSION) return &ops::options();
  return nullptr;
}

}  // namespace grevy::host

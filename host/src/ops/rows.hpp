// The operations of grevy/ops.h, one row each: what LibTorch is asked for.
#ifndef GREVY_HOST_OPS_ROWS_HPP
#define GREVY_HOST_OPS_ROWS_HPP

#include "ops/arguments.hpp"

namespace grevy::host {

struct OpRow {
  std::uint32_t op;  // GREVY_OP_*: the row's own place
  std::string_view name;
  Signature signature;
  at::Tensor (*run)(const Arguments&);
};

// The row of an operation, or null where there is none.
const OpRow* find_row(std::uint32_t op);
std::uint32_t row_count();

}  // namespace grevy::host

#endif

// What the tables of grevy/ops.h say of themselves and of wrong arguments; tensors in and out.
#include "host/ops_support.hpp"

using namespace grevy;
using namespace grevy::tests;

TEST_CASE("a number does not widen a type, a tensor without axes does") {
  const at::Tensor x = at::ones({2});
  CHECK((run(GREVY_OP_MULTIPLY, {x}, {number(0.5)}).scalar_type() == at::kFloat));
  CHECK((run(GREVY_OP_MULTIPLY, {x.to(at::kInt)}, {integer(2)}).scalar_type() == at::kInt));
  CHECK((run(GREVY_OP_MULTIPLY, {x.to(at::kInt)}, {number(2)}).scalar_type() == at::kFloat));
  const at::Tensor wide = at::scalar_tensor(2, at::kDouble);
  CHECK((run(GREVY_OP_ADD, {at::scalar_tensor(1, at::kFloat), wide}).scalar_type() == at::kDouble));
}

TEST_CASE("operations describe themselves") {
  const auto describe = [](std::uint32_t op) {
    grevy_op_info info{};
    info.struct_size = sizeof(info);
    checked([&](auto* errors) { return ops().describe(op, &info, errors); });
    CHECK(info.op == op);
    return std::string(grevy::detail::view(info.name)) +
           std::string(grevy::detail::view(info.takes));
  };
  CHECK(describe(GREVY_OP_CONV1D) ==
        "conv1d/1(x, weight, bias?) [stride?, padding?, dilation?, groups?]");
  CHECK(describe(GREVY_OP_CAT) == "cat/1(tensors...) [dim?]");
  CHECK(catch_error([&] { describe(GREVY_OP_COUNT); }).code == ErrorCode::not_found);
  CHECK(ops().find(grevy::detail::text_of("conv1d/2")) == UINT32_MAX);
}

TEST_CASE("wrong arguments are errors that say what an operation takes") {
  const at::Tensor x = at::ones({2, 3}), whole = at::ones({2}, at::kLong);
  const auto error = [](std::uint32_t op, const Tensors& inputs,
                        const std::vector<Attribute>& attributes = {}) {
    return catch_error([&] { run(op, inputs, attributes); });
  };
  const auto says = [&](const Caught& caught, ErrorCode code, const char* part) {
    INFO(caught.text);
    CHECK(caught.code == code);
    CHECK(caught.says(part));
  };
  constexpr auto value = ErrorCode::invalid_value, type = ErrorCode::invalid_type;
  says(error(GREVY_OP_EXP, {}), value, "exp/1: found 0 inputs; it takes (x)");
  says(error(GREVY_OP_EXP, {x, x}), value, "found 2 inputs");
  says(error(GREVY_OP_EXP, {{}}), value, "found NULL for input 0");
  says(error(GREVY_OP_CAT, {}), value, "cat/1: found 0 inputs; it takes (tensors...) [dim?]");
  says(error(GREVY_OP_CAT, {x, {}}), value, "found NULL for input 1");
  says(error(GREVY_OP_ADD, {x}), value,
       "neither a tensor nor a number; it takes (a?, b?) [number?]");
  says(error(GREVY_OP_ADD, {{}, {}}, {number(1)}), value, "found no tensor");
  says(error(GREVY_OP_SOFTMAX, {x}), value, "found no \"dim\"");
  says(error(GREVY_OP_SOFTMAX, {x}, {number(1)}), type, "another kind of attribute for \"dim\"");
  says(error(GREVY_OP_SOFTMAX, {x}, {integer(0), integer(0)}), value, "found 2 attributes");
  says(error(GREVY_OP_SOFTMAX, {x}, {integer(7)}), value, "softmax/1: Dimension out of range");
  says(error(GREVY_OP_SUM, {x}, {list(std::vector<std::int64_t>(65))}), type, "count 65");
  says(error(GREVY_OP_MATMUL, {x, x}), value,
       "matmul/1: mat1 and mat2 shapes cannot be multiplied");
  says(error(GREVY_OP_EINSUM, {x}, {text("((")}), value, "einsum/1: ");
  says(error(GREVY_OP_CONV1D, {x, x}, {integer(0)}), value, "found 0; must be 1 or more");
  says(error(GREVY_OP_CONV1D, {at::ones({1, 1, 4}), at::ones({1, 1, 2}), {}},
             {none, none, none, integer(-1)}),
       value, "found -1; must be 1 or more");
  says(error(GREVY_OP_CONV1D, {x, at::ones({2, 2, 9})}), value, "conv1d/1: ");
  says(error(GREVY_OP_UNFOLD, {x}, {integer(0), integer(1), integer(0)}), value,
       "must be 1 or more");
  says(error(GREVY_OP_INDEX_SELECT, {x, whole * 5}, {integer(0)}), value, "index_select/1: ");
  says(error(GREVY_OP_GATHER, {x, x}, {integer(0)}), value, "gather/1: ");
  says(error(GREVY_OP_GATHER, {x, at::full({1, 1}, -9, at::kLong)}, {integer(0)}), value,
       "gather/1: ");
  says(error(GREVY_OP_RESHAPE, {x}, {list({-1, -1})}), value, "reshape/1: ");
  says(error(GREVY_OP_EXPAND, {x}, {list({INT64_MAX, 2, 3})}), value, "expand/1: ");
  says(error(GREVY_OP_CLAMP, {x}), value, "clamp/1: ");
  says(error(GREVY_OP_TO, {x}, {integer(99)}), type,
       "types are GREVY_FLOAT32 (0) to GREVY_BOOL (5)");
  says(error(GREVY_OP_TO, {x}, {none, text("nowhere")}), value, "to/1: ");
  says(error(GREVY_OP_FULL, {}, {list({-2}), number(1)}), value, "found a size of -2");
  says(error(GREVY_OP_FULL, {}, {list({65536, 65537}), number(1)}), value,
       "more than 2^32 elements");
  says(error(GREVY_OP_FULL, {}, {list({INT64_MAX, INT64_MAX}), number(1)}), value,
       "more than 2^32");
  says(error(GREVY_OP_ARANGE, {}, {integer(0), number(1e300), integer(1)}), value,
       "more than 2^32");
  says(error(GREVY_OP_ARANGE, {}, {integer(0), integer(1), integer(0)}), value, "more than 2^32");
  says(error(GREVY_OP_UNIFORM, {}, {list({2}), none}), value, "no \"generator\"");
  says(error(GREVY_OP_BERNOULLI, {}, {list({2}), generator(seeded(1)), number(1.5)}), value,
       "must be from 0 to 1");
  says(error(GREVY_OP_DROPOUT, {x}, {number(1), generator(seeded(1))}), value, "must be below 1");
  says(error(GREVY_OP_COUNT, {x}), ErrorCode::unimplemented,
       "there is no operation 76; this host has 0 to 75");
  CHECK(ops().call(GREVY_OP_EXP, nullptr, 1, nullptr, 0, nullptr, 1, nullptr) ==
        GREVY_ERROR_INVALID_VALUE);
  CHECK(ops().call(GREVY_OP_EXP, nullptr, UINT64_MAX, nullptr, 0, nullptr, 1, nullptr) ==
        GREVY_ERROR_INVALID_VALUE);
}

TEST_CASE("tensors are inspected, made from data, read and written") {
  const std::int64_t sizes[] = {2, 3};
  const float data[] = {0, 1, 2, 3, 4, 5};
  grevy_tensor* handle = nullptr;
  checked([&](auto* e) { return ops().from_data(GREVY_FLOAT32, sizes, 2, data, &handle, e); });
  const at::Tensor x = take(handle);
  CHECK(at::equal(x, at::arange(6, at::kFloat).view({2, 3})));
  const at::Tensor turned = x.t();
  grevy_tensor_info info{};
  info.struct_size = sizeof(info);
  checked([&](auto* e) { return ops().inspect(lend(turned), &info, e); });
  CHECK(info.dtype == GREVY_FLOAT32);
  CHECK(at::IntArrayRef(info.sizes, info.dims).vec() == std::vector<std::int64_t>{3, 2});
  CHECK(at::IntArrayRef(info.strides, info.dims).vec() == std::vector<std::int64_t>{1, 3});
  CHECK(info.count == 6);
  CHECK(info.device_type == GREVY_CPU);
  CHECK(info.is_contiguous == 0);
  CHECK(info.requires_grad == 0);
  ops().retain(lend(turned));
  CHECK(turned.use_count() == 2);
  ops().release(lend(turned));
  CHECK(turned.use_count() == 1);
  ops().retain(nullptr);
  ops().release(nullptr);
  std::int64_t read[6] = {};
  checked([&](auto* e) { return ops().to_data(lend(turned), GREVY_INT64, read, 6, e); });
  CHECK(std::vector<std::int64_t>(read, read + 6) == std::vector<std::int64_t>{0, 3, 1, 4, 2, 5});
  checked([&](auto* e) { return ops().assign(lend(x), lend(at::full({3}, 2, at::kLong)), e); });
  CHECK(at::equal(x, at::full({2, 3}, 2.0f)));

  const auto error = [](auto&& call) { return catch_error([&] { checked(call); }); };
  CHECK(error([&](auto* e) {
          return ops().to_data(lend(x), GREVY_INT64, read, 5, e);
        }).says("to_data: found room for 5; the tensor has 6 elements"));
  CHECK(error([&](auto* e) { return ops().inspect(nullptr, &info, e); }).says("found NULL"));
  CHECK(error([&](auto* e) {
          return ops().from_data(0, sizes, 2, nullptr, &handle, e);
        }).says("found NULL for the data"));
  CHECK(error([&](auto* e) { return ops().from_data(6, sizes, 2, data, &handle, e); }).code ==
        ErrorCode::invalid_type);
  CHECK(error([&](auto* e) { return ops().assign(lend(x), lend(at::ones({4})), e); }).code ==
        ErrorCode::invalid_value);
  info.struct_size = 8;
  CHECK(error([&](auto* e) { return ops().inspect(lend(x), &info, e); }).code ==
        ErrorCode::incompatible);
}

TEST_CASE("a host answers to the ids that it knows") {
  const grevy_host& host = plugin_host();
  CHECK(host.extension(&host, grevy::detail::text_of("grevy.ops/1")) == &ops());
  CHECK(host.extension(&host, grevy::detail::text_of("grevy.kernel/1")) == &kernels());
  CHECK(host.extension(&host, grevy::detail::text_of("grevy.ops/2")) == nullptr);
  CHECK(host.extension(&host, {}) == nullptr);
  CHECK(ops().struct_size == sizeof(grevy_ops));
}

// The same source with LibTorch and with the portable front: types, devices and values.
#include "host/both_fronts.hpp"

using namespace grevy;
using namespace grevy::tests;

TEST_CASE("what options do not name is as with LibTorch") {
  enter();
  SAME(front::full({2}, 1));
  SAME(front::full({2}, 1.5));
  SAME(front::full({2}, true));
  SAME(front::full({2}, 1, front::kDouble));
  SAME(front::full({2}, 1, front::kCPU));
  SAME(front::full({2}, 1.5, front::TensorOptions().device(front::Device("cpu"))));
  SAME(front::zeros({2}));
  SAME(front::ones({2}, front::kLong));
  SAME(front::ones({2}, front::Device("cpu")));
  SAME(front::arange(3));
  SAME(front::arange(3.0));
  SAME(front::arange(1, 4));
  SAME(front::arange(1, 4.0));
  SAME(front::arange(1.0, 4));
  SAME(front::arange(1, 9, 3));
  SAME(front::arange(0, 1, 0.25));
  SAME(front::arange(4, front::kDouble));
  SAME(front::arange(1, 4, front::kCPU));
  SAME(front::arange(1, 4.0, front::kLong));
  SAME(front::full_like(front::ones({2}, front::kInt), 3.0));
  SAME(front::zeros_like(front::ones({2}, front::kDouble)));
  SAME(front::ones_like(front::ones({2}, front::kDouble), front::kLong));
  SAME(front::ones_like(front::ones({2}, front::kLong), front::kCPU));
}

TEST_CASE("a tensor keeps what options do not name") {
  enter();
  SAME(front::ones({2}, front::kDouble).to(front::kCPU));
  SAME(front::ones({2}, front::kDouble).to(front::Device("cpu:0").type()));
  SAME(front::ones({2}, front::kLong).to(front::TensorOptions().device(front::kCPU)));
  SAME(front::ones({2}, front::kLong).to(front::TensorOptions(front::kInt)));
  SAME(front::ones({2}, front::kLong).to(front::TensorOptions()));
  SAME(front::ones({2}, front::kLong).to(front::Device("cpu"), front::kDouble));
  SAME(front::ones({2}).to(front::ones({2}, front::kInt).options()));
}

TEST_CASE("numbers do not change a type otherwise than with LibTorch") {
  enter();
  SAME(front::ones({2}, front::kBool) + true);
  SAME(front::ones({2}, front::kBool) + 1);
  SAME(front::ones({2}, front::kBool) * 1.5);
  SAME(front::ones({2}, front::kInt) * 2);
  SAME(front::ones({2}, front::kInt) * 0.5);
  SAME(front::ones({2}, front::kInt) / 2);
  SAME(front::ones({2}, front::kDouble) - 1);
  SAME(front::ones({2}, front::kInt) == true);
  SAME(front::ones({2, 2}, front::kInt).sum({1}, true));
}

TEST_CASE("devices are read and compared as LibTorch does") {
  for (const char* text : {"cpu", "cpu:0", "cuda", "cuda:0", "cuda:1", "cuda:10"}) {
    CAPTURE(text);
    const portable::Device found{std::string(text)};
    const at::Device wanted{std::string(text)};
    CHECK(found.str() == wanted.str());
    CHECK(found.is_cpu() == wanted.is_cpu());
    CHECK(found.is_cuda() == wanted.is_cuda());
    CHECK(found.has_index() == wanted.has_index());
    CHECK(found.index() == wanted.index());
    for (const char* other : {"cpu", "cuda:1"})
      CHECK((found == portable::Device{std::string(other)}) ==
            (wanted == at::Device{std::string(other)}));
  }
  for (const char* text : {"", ":", "cpu:", "cpu:1", "cpu:00", "cuda:", "cuda:01", "cuda:-1",
                           "cuda:x", "cuda:1x", "cuda:1234", "cuda:0:0", "gpu", "CPU", " cpu"}) {
    CAPTURE(text);
    CHECK(catch_error([&] { const portable::Device device{std::string(text)}; }).code ==
          ErrorCode::invalid_value);
  }
  CHECK(catch_error([] {
          const portable::Device device(portable::kCPU, -2);
        }).says("there is no device cpu:-2"));
  CHECK(portable::Device(portable::DeviceType::Other).str() == "other");
  enter();
  CHECK(portable::ones({1}).device() == portable::Device("cpu"));
  CHECK(portable::ones({1}).device() == portable::kCPU);
  CHECK(portable::ones({1}).options().device().str() == at::ones({1}).options().device().str());
}

TEST_CASE("options say what they name") {
  const portable::TensorOptions nothing;
  CHECK_FALSE(nothing.has_dtype());
  CHECK_FALSE(nothing.has_device());
  CHECK(nothing.dtype() == portable::kFloat);
  CHECK(nothing.device() == portable::kCPU);
  const portable::TensorOptions both = nothing.dtype(portable::kLong).device(portable::kCUDA);
  CHECK(both.dtype_opt() == portable::kLong);
  CHECK(both.device_opt()->is_cuda());
}

TEST_CASE("errors of the portable front keep the place where they arose") {
  enter();
  const auto report_place = [](const grevy_ops&, auto* errors) {
    return grevy::detail::report(errors, ErrorCode::io, "why", {"its.plugin", "its-loss", "step"});
  };
  const Caught placed = catch_error([&] { portable::checked(report_place); });
  check_place(placed, "its.plugin", "its-loss", "step");
  CHECK(placed.code == ErrorCode::io);
  const Caught plain = catch_error([] { portable::ones({2}).select(0, 5); });
  CHECK(plain.code == ErrorCode::invalid_value);
  CHECK(plain.text.find("select/1: ") == 0);
  CHECK(plain.component.empty());
}

TEST_CASE("whose code runs is known within a scope, of a thread") {
  CHECK(portable::running.component.empty());
  {
    const portable::RunningScope outer("a.plugin", "a");
    {
      const portable::RunningScope inner("b.plugin", "b");
      CHECK(portable::running.plugin == "b.plugin");
    }
    CHECK(portable::running.plugin == "a.plugin");
    CHECK(portable::running.component == "a");
  }
  CHECK(portable::running.component.empty());
}

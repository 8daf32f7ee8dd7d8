#include "unit/temporary_folder.hpp"

#include <grevy/error.hpp>
#include <grevy/host/array.hpp>
#include <grevy/host/recording.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/quantize_per_tensor.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

using namespace grevy;
using namespace grevy::host;

namespace {

at::Tensor numbers(std::int64_t rows, std::int64_t columns) {
  return at::arange(rows * columns, at::kFloat).reshape({rows, columns});
}

struct Refusal {
  std::function<void()> body;
  ErrorCode code;
  std::vector<std::string> parts;
};

void check_refused(const std::vector<Refusal>& cases) {
  for (const Refusal& c : cases) {
    std::string message;
    ErrorCode code = ErrorCode::internal;
    try {
      c.body();
    } catch (const Error& e) {
      message = e.what();
      code = e.code();
    }
    CAPTURE(message);
    CHECK(code == c.code);
    for (const std::string& part : c.parts)
      CHECK_MESSAGE(message.find(part) != std::string::npos, part);
  }
}

}  // namespace

TEST_CASE("a recording takes any real numbers in any layout") {
  const at::Tensor wanted = numbers(4, 3);
  const at::Tensor given[] = {wanted, wanted.to(at::kDouble), wanted.to(at::kHalf),
                              wanted.to(at::kLong), wanted.t().contiguous().t()};
  for (const at::Tensor& values : given) {
    const Recording recording(values);
    CHECK(recording.num_samples() == 4);
    CHECK(recording.num_channels() == 3);
    CHECK(recording.neural().is_contiguous());
    CHECK((recording.neural().scalar_type() == at::kFloat));
    CHECK(at::equal(recording.neural(), wanted));
  }
  CHECK(Recording(wanted).neural().data_ptr() == wanted.data_ptr());  // shared, not copied
}

TEST_CASE("labels become (T, w) float32 or (T) int64") {
  Recording recording(numbers(4, 3));
  recording.add_continuous("flat", at::arange(4, at::kDouble));
  recording.add_continuous("plane", numbers(4, 2));
  recording.add_continuous("counts", at::arange(4, at::kInt));
  recording.add_discrete("column", at::arange(4, at::kInt).unsqueeze(1));
  recording.add_discrete("flag", at::ones({4}, at::kBool));
  const auto sizes = [&](const char* name) { return recording.label(name).values.sizes().vec(); };
  CHECK(sizes("flat") == std::vector<std::int64_t>{4, 1});
  CHECK(sizes("plane") == std::vector<std::int64_t>{4, 2});
  CHECK(sizes("counts") == std::vector<std::int64_t>{4, 1});
  CHECK(sizes("column") == std::vector<std::int64_t>{4});
  for (const Label& label : recording.labels()) {
    CAPTURE(label.name);
    CHECK((label.values.scalar_type() == (label.discrete ? at::kLong : at::kFloat)));
    CHECK(label.values.is_contiguous());
  }
  CHECK(at::equal(recording.label("flag").values, at::ones({4}, at::kLong)));
}

TEST_CASE("what is no recording and no label is refused with its name") {
  Recording recording(numbers(4, 3), "spikes.npy");
  recording.add_continuous("position", at::arange(4, at::kFloat));
  check_refused({
      {[] { Recording(at::Tensor{}); }, ErrorCode::invalid_type, {"the recording: needs"}},
      {[] {
         Recording(at::zeros({4, 3}, at::kComplexFloat), "x.npy");
       },
       ErrorCode::invalid_type,
       {"x.npy: needs real numbers"}},
      {[] {
         Recording(at::quantize_per_tensor(at::zeros({4, 3}), 1, 0, at::kQInt8), "x.npy");
       },
       ErrorCode::invalid_type,
       {"x.npy: needs a dense tensor with values; found "}},
      {[] { Recording(at::zeros({4}), "x.npy"); },
       ErrorCode::invalid_value,
       {"x.npy: found shape [4]; must be (time, channels)"}},
      {[] {
         Recording(at::zeros({4, 3, 2}));
       },
       ErrorCode::invalid_value,
       {"[4, 3, 2]"}},
      {[] {
         Recording(at::zeros({0, 3}));
       },
       ErrorCode::invalid_value,
       {"is empty"}},
      {[] {
         Recording(at::zeros({3, 0}));
       },
       ErrorCode::invalid_value,
       {"is empty"}},
      {[&] { recording.add_continuous("p", at::zeros({5})); },
       ErrorCode::invalid_value,
       {"label \"p\": has 5 rows, but spikes.npy has 4 samples"}},
      {[&] {
         recording.add_continuous("p", at::zeros({4, 1, 1}), "p.npy");
       },
       ErrorCode::invalid_value,
       {"p.npy: found shape [4, 1, 1]"}},
      {[&] { recording.add_discrete("p", at::zeros({4})); },
       ErrorCode::invalid_type,
       {"label \"p\": holds floats"}},
      {[&] {
         recording.add_discrete("p", at::zeros({4, 2}, at::kLong));
       },
       ErrorCode::invalid_value,
       {"found shape [4, 2]"}},
      {[&] { (void)recording.label("speed"); },
       ErrorCode::not_found,
       {"no label \"speed\"; labels: \"position\""}},
      {[] { (void)Recording(numbers(4, 3)).label("speed"); },
       ErrorCode::not_found,
       {"labels: none"}},
  });
  CHECK(recording.labels().size() == 1);
}

TEST_CASE("a slice shares memory and takes the labels along") {
  Recording recording(numbers(6, 2));
  recording.add_discrete("class", at::arange(6, at::kLong));
  const Recording part = recording.slice(2, 5);
  CHECK(part.num_samples() == 3);
  CHECK(part.neural().data_ptr<float>() == recording.neural().data_ptr<float>() + 4);
  CHECK(at::equal(part.label("class").values, at::arange(2, 5, at::kLong)));
  recording.set_trials(at::arange(6, at::kLong).div(2, "floor"));
  CHECK(recording.trials() == std::vector<std::int64_t>{0, 2, 4});
  CHECK(recording.slice(2, 4).trials() == std::vector<std::int64_t>{0});
  CHECK(recording.slice(1, 5).trials() == std::vector<std::int64_t>{0, 1, 3});
  check_refused({
      {[&] { recording.slice(-1, 3); }, ErrorCode::out_of_range, {"-1 to 3", "6"}},
      {[&] { recording.slice(3, 3); }, ErrorCode::out_of_range, {}},
      {[&] { recording.slice(0, 7); }, ErrorCode::out_of_range, {}},
  });
}

TEST_CASE("the first value that is not finite is found wherever it is") {
  const float odd_values[] = {NAN, INFINITY, -INFINITY};
  const std::int64_t rows[] = {0, 5461, 5462, 19999};  // both sides of a stretch's end too
  for (const float odd : odd_values)
    for (const std::int64_t row : rows) {
      const at::Tensor values = at::full({20000, 3}, 3e38f);
      CHECK_NOTHROW(Recording(values).check_finite());
      values[row][1] = odd;
      const std::string place = "row " + std::to_string(row) + ", column 1";
      check_refused({{[&] { Recording(values, "x.npy").check_finite(); },
                      ErrorCode::non_finite,
                      {"x.npy: found ", place}}});
    }
  Recording recording(numbers(4, 3));
  const at::Tensor label = at::zeros({4, 2});
  CHECK_NOTHROW(recording.add_continuous("position", label));
  label[3][0] = NAN;
  check_refused({{[&] { recording.add_continuous("speed", label); },
                  ErrorCode::non_finite,
                  {"label \"speed\": found nan at row 3, column 0"}}});
  CHECK(recording.labels().size() == 1);
}

TEST_CASE("a slice counts its rows from the start of the whole") {
  at::Tensor values = numbers(9, 2);
  values[7][1] = NAN;
  const Recording part = Recording(values, "x.npy").slice(2, 9).slice(1, 7);
  check_refused({{[&] { part.check_finite(); }, ErrorCode::non_finite, {"row 7, column 1"}}});
}

TEST_CASE("arrays in files become tensors") {
  const tests::TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> classes = {-1, 0, 7};
  write_npy(folder / "float.npy", {3, 2}, values.data());
  write_npy(folder / "int.npy", {3}, classes.data());
  const at::Tensor floats = load_tensor(folder / "float.npy");
  CHECK((floats.scalar_type() == at::kFloat));
  CHECK(at::equal(floats, numbers(3, 2) + 1));
  CHECK(at::equal(load_tensor(folder / "int.npy"), at::tensor(classes, at::kLong)));
  CHECK(at::equal(load_float_tensor(folder / "int.npy"), at::tensor(classes, at::kFloat)));
  check_refused({{[&] { load_tensor(folder / "no.npy"); }, ErrorCode::not_found, {"no.npy"}}});
}

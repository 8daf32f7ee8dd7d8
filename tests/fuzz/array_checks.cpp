#include "array_checks.hpp"

#include "support.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace grevy::fuzz {
namespace {

using host::Array;

void check_floats(const Array& array) {
  const auto values = array.to_float32();
  host::write_npy(output_file(), array.shape(), values.get());
  const Array again = Array::open(output_file());
  const auto copies = again.to_float32();
  const auto count = static_cast<std::size_t>(array.size());
  expect(again.shape() == array.shape(), "the shape changed");
  expect(again.type() == host::ElementType::float32, "float32 became another type");
  expect(std::equal(reinterpret_cast<const unsigned char*>(values.get()),
                    reinterpret_cast<const unsigned char*>(values.get() + count),
                    reinterpret_cast<const unsigned char*>(copies.get())),
         "floats changed");
}

void check_integers(const Array& array) {
  const std::vector<std::int64_t> values = array.to_int64();
  host::write_npy(output_file(), array.shape(), values.data());
  expect(Array::open(output_file()).to_int64() == values, "integers changed");
}

void check_texts(const Array& array) {
  for (const std::string& text : array.to_text()) {
    expect(text.empty() || text.back() != '\0', "a text ends with a NUL");
    (void)nlohmann::json(text).dump();  // throws where it is no UTF-8
  }
}

}  // namespace

void check_array(const Array& array, const std::string& start) {
  expect(array.size() >= 0, "a negative size");
  const bool floats = accepts([&] { check_floats(array); }, start);
  const bool integers = accepts([&] { check_integers(array); }, start);
  const bool texts = accepts([&] { check_texts(array); }, start);
  expect(floats == !array.is_text(), "only numbers are floats");
  expect(array.is_integer() || !integers, "only integers are integers");
  expect(array.is_text() || !texts, "only texts are texts");
}

}  // namespace grevy::fuzz

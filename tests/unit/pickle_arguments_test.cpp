// Known classes and functions with arguments that torch.save and NumPy never write.
#include "files/pickle.hpp"
#include "torch_writer.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::pickle_bytes_limit;
using grevy::host::read_pickle;
using namespace grevy::tests;

namespace {

void check_refused(const std::string& value, const std::string& piece) {
  CAPTURE(piece);
  try {
    read_pickle(pickle(value), "a.pt");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.code() == ErrorCode::invalid_value);
    CHECK(message.find(piece) != std::string::npos);
  }
}

std::string dtype_with(const Pickles& args, const std::string& state) {
  return pickle_call(pickle_global("numpy", "dtype"), args) + state;
}

void check_scalar_refused(const std::string& dtype) {
  check_refused(pickle_call(pickle_global("numpy.core.multiarray", "scalar"),
                            {dtype, "C\x08" + std::string(8, '\0')}),
                "numpy.core.multiarray.scalar: its arguments are not a dtype and bytes");
}

std::string storage_of(const std::string& kind, const std::string& type, const std::string& key) {
  return pickle_tuple({kind, type, key, pickle_text("cpu"), "K\1"}) + "Q";
}

}  // namespace

TEST_CASE("pickle: torch.Size and TorchVersion with another number of arguments") {
  check_refused(pickle_call(pickle_global("torch", "Size"), {")", ")"}),
                "torch.Size: its arguments are not one tuple");
  check_refused(pickle_call(pickle_global("torch.torch_version", "TorchVersion"), {}),
                "torch.torch_version.TorchVersion: its arguments are not one text");
}

TEST_CASE("pickle: text that is encoded with other arguments") {
  const std::string encode = pickle_global("_codecs", "encode"), text = pickle_text("x");
  const std::string wanted = "_codecs.encode: its arguments are not a text and \"latin1\"";
  check_refused(pickle_call(encode, {text}), wanted);
  check_refused(pickle_call(encode, {text, "N"}), wanted);
  check_refused(pickle_call(encode, {text, pickle_text("utf8")}), wanted);
  check_refused(pickle_call(encode, {"N", pickle_text("latin1")}), wanted);
}

TEST_CASE("pickle: a tensor with bits that say how it is to be read") {
  const auto tensor_with = [](const std::string& metadata) {
    return pickle_call(pickle_global("torch._utils", "_rebuild_tensor_v2"),
                       {pickle_storage({}), pickle_integer(0), pickle_integers({2, 3}),
                        pickle_integers({3, 1}), "\x89", "}", metadata});
  };
  CHECK_NOTHROW(read_pickle(pickle(tensor_with("}")), "a.pt"));
  CHECK_NOTHROW(read_pickle(pickle(tensor_with("N")), "a.pt"));
  const std::string wanted =
      "torch._utils._rebuild_tensor_v2: its arguments are not a storage, an offset";
  check_refused(tensor_with(pickle_dict({{"conj", "\x88"}})), wanted);
  check_refused(tensor_with("K\1"), wanted);
}

TEST_CASE("pickle: numbers of NumPy whose type is none") {
  const std::string state = pickle_tuple({"K\3", pickle_text("<"), "N"}) + "b";
  check_scalar_refused(pickle_call(pickle_global("torch", "device"), {pickle_text("cpu")}));
  check_scalar_refused(dtype_with({}, state));
  check_scalar_refused(dtype_with({pickle_text("f8")}, ""));
  check_scalar_refused(dtype_with({pickle_text("f8")},
                                  "K\1\x85"
                                  "b"));
  check_scalar_refused(dtype_with({"N"}, state));
  check_scalar_refused(dtype_with({pickle_text("f8")}, pickle_tuple({"K\3", "N", "N"}) + "b"));
}

TEST_CASE("pickle: storages without a kind, a class or a key") {
  const std::string wanted = "a persistent id is not (\"storage\", class, key, location,";
  const std::string kind = pickle_text("storage"), type = pickle_global("torch", "FloatStorage");
  check_refused(storage_of("N", type, pickle_text("0")), wanted);
  check_refused(storage_of(kind, "N", pickle_text("0")), wanted);
  check_refused(storage_of(kind, type, "N"), wanted);
  check_refused(type, "holds the class or function \"torch.FloatStorage\"");
}

TEST_CASE("pickle: characters of three bytes beside those that are none") {
  for (const char* text : {"\xe0\xa4\x85", "\xed\x95\x9c", "\xf0\x90\x80\x80"}) {
    CHECK(std::get<std::string>(read_pickle(pickle(pickle_text(text)), "a.pt").value) == text);
  }
}

TEST_CASE("pickle: longer than a log of any use") {
  // Refused by its length: nothing of it is read.
  const char byte = '\x80';
  CHECK_THROWS_WITH_AS(read_pickle({&byte, pickle_bytes_limit + 1}, "a.pt"),
                       doctest::Contains("has 268435457 bytes; at most 268435456 are allowed"),
                       Error);
}

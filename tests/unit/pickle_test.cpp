#include "files/pickle.hpp"

#include "torch_writer.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::PickleBytes;
using grevy::host::PickleDict;
using grevy::host::PickleList;
using grevy::host::PickleTuple;
using grevy::host::PickleValue;
using grevy::host::read_pickle;
using grevy::host::RecordPointer;
using grevy::host::TensorPointer;
using grevy::host::type_text;
using namespace grevy::tests;
using namespace std::string_literals;

namespace {

PickleValue read(const std::string& bytes) { return read_pickle(bytes, "a.pt"); }
PickleValue read_value(const std::string& value) { return read(pickle(value)); }

template <typename T>
T value_of(const std::string& value) {
  const PickleValue found = read_value(value);
  REQUIRE(std::holds_alternative<T>(found.value));
  return std::get<T>(found.value);
}

void check_refused(const std::string& bytes, const std::string& piece,
                   ErrorCode code = ErrorCode::invalid_value) {
  try {
    read(bytes);
    FAIL("nothing was thrown for: " << piece);
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CAPTURE(piece);
    CHECK(error.code() == code);
    CHECK(message.find("a.pt, byte ") == 0);
    CHECK(message.find(piece) != std::string::npos);
    CHECK(message.size() < 600);
  }
}

void check_value_refused(const std::string& value, const std::string& piece,
                         ErrorCode code = ErrorCode::invalid_value) {
  check_refused(pickle(value), piece, code);
}

std::string scalar_of(const std::string& dtype, const std::string& bytes) {
  return pickle_call(pickle_global("numpy.core.multiarray", "scalar"), {dtype, bytes});
}

std::string dtype_of(const std::string& code, const std::string& order) {
  return pickle_call(pickle_global("numpy", "dtype"), {pickle_text(code), "\x89", "\x88"}) +
         pickle_tuple({"K\3", pickle_text(order), "N"}) + "b";
}

const std::string kDtype = dtype_of("f8", "<");

std::string raw(const std::string& bytes) { return "C" + little_endian(bytes.size(), 1) + bytes; }

}  // namespace

TEST_CASE("pickle: plain values") {
  CHECK(std::holds_alternative<std::monostate>(read_value("N").value));
  CHECK(value_of<bool>("\x88"));
  CHECK_FALSE(value_of<bool>("\x89"));
  CHECK(value_of<std::int64_t>("K\xff") == 255);
  CHECK(value_of<std::int64_t>("M\xff\xff") == 65535);
  CHECK(value_of<std::int64_t>("J\xfe\xff\xff\xff") == -2);
  CHECK(value_of<std::int64_t>("J\xff\xff\xff\x7f") == 2147483647);
  CHECK(value_of<double>("G\x3f\xf8\0\0\0\0\0\0"s) == 1.5);
  CHECK(value_of<std::string>("X\2\0\0\0ab"s) == "ab");
  CHECK(value_of<std::string>("\x8c\2ab") == "ab");
  CHECK(value_of<std::string>("\x8d\2\0\0\0\0\0\0\0ab"s) == "ab");
  CHECK(value_of<PickleBytes>("C\2\xff\0"s).bytes == "\xff\0"s);
  CHECK(value_of<PickleBytes>("B\1\0\0\0x"s).bytes == "x");
  CHECK(value_of<PickleBytes>("\x8e\1\0\0\0\0\0\0\0x"s).bytes == "x");
}

TEST_CASE("pickle: long integers") {
  CHECK(value_of<std::int64_t>("\x8a\0"s) == 0);
  CHECK(value_of<std::int64_t>("\x8a\1\xff") == -1);
  CHECK(value_of<std::int64_t>("\x8a\2\xff\0"s) == 255);
  CHECK(value_of<std::int64_t>("\x8a\3\0\0\x80"s) == -8388608);
  CHECK(value_of<std::int64_t>(pickle_integer(INT64_MIN)) == INT64_MIN);
  CHECK(value_of<std::int64_t>(pickle_integer(INT64_MAX)) == INT64_MAX);
  check_value_refused("\x8a\x09" + std::string(9, '\1'),
                      "an integer has 9 bytes; at most 8 are allowed");
}

TEST_CASE("pickle: containers") {
  CHECK(value_of<PickleTuple>(")").items.empty());
  CHECK(value_of<PickleTuple>("N\x85").items.size() == 1);
  CHECK(value_of<PickleTuple>("NN\x86").items.size() == 2);
  CHECK(value_of<PickleTuple>("NNN\x87").items.size() == 3);
  CHECK(value_of<PickleTuple>("(NNNNt").items.size() == 4);
  CHECK(value_of<PickleList>("]Na(NNe").items.size() == 3);
  const auto dict = value_of<PickleDict>("}" + pickle_text("a") + "K\1s(" + pickle_text("b") +
                                         "K\2" + pickle_text("a") + "K\3K\4Nu");
  REQUIRE(dict.items.size() == 4);
  CHECK(std::get<std::int64_t>(dict.find("a")->value) == 3);
  CHECK(std::get<std::int64_t>(dict.find("b")->value) == 2);
  CHECK(dict.find("c") == nullptr);
}

TEST_CASE("pickle: the memo shares objects, also before they are filled") {
  const auto tuple = value_of<PickleTuple>("]q\5(K\1eh\5\x86");
  REQUIRE(tuple.items.size() == 2);
  for (const PickleValue& item : tuple.items) {
    CHECK(std::get<PickleList>(item.value).items.size() == 1);
  }
  CHECK(value_of<PickleTuple>("Nr\0\1\0\0j\0\1\0\0\x86"s).items.size() == 2);
  CHECK(value_of<PickleTuple>("K\7\x94K\x08\x94h\1\x87").items.size() == 3);
}

TEST_CASE("pickle: protocols 4 and 5") {
  const std::string body =
      "\x8c\x0b"
      "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94.";
  const std::string framed = "\x95" + little_endian(body.size(), 8) + body;
  for (const char* start : {"\x80\4", "\x80\5"}) {
    CHECK(std::holds_alternative<PickleDict>(read(start + framed).value));
  }
  check_refused("\x80\4\x95" + little_endian(body.size() + 1, 8) + body,
                "is truncated: a frame reaches beyond the end");
}

TEST_CASE("pickle: a tensor") {
  const auto tensor =
      value_of<TensorPointer>(pickle_tensor({"17", 12, 5, {2, 3}, {1, 2}, "DoubleStorage"}));
  CHECK(tensor->storage_key == "17");
  CHECK(tensor->dtype == "F64");
  CHECK(tensor->storage_elements == 12);
  CHECK(tensor->offset == 5);
  CHECK(tensor->shape == std::vector<std::int64_t>{2, 3});
  CHECK(tensor->stride == std::vector<std::int64_t>{1, 2});
  CHECK_FALSE(tensor->requires_grad);
  const auto parameter = value_of<TensorPointer>(pickle_call(
      pickle_global("torch._utils", "_rebuild_parameter"), {pickle_tensor({}), "\x88", "}"}));
  CHECK(parameter->requires_grad);
  CHECK(parameter->storage_elements == 6);
  const std::pair<const char*, const char*> dtypes[] = {
      {"Float", "F32"}, {"Double", "F64"}, {"Half", "F16"}, {"BFloat16", "BF16"}, {"Long", "I64"},
      {"Int", "I32"},   {"Short", "I16"},  {"Char", "I8"},  {"Byte", "U8"},       {"Bool", "BOOL"}};
  for (const auto& [name, dtype] : dtypes) {
    TensorText text;
    text.storage = std::string(name) + "Storage";
    CHECK(value_of<TensorPointer>(pickle_tensor(text))->dtype == dtype);
  }
}

TEST_CASE("pickle: objects of known classes") {
  const auto device = value_of<RecordPointer>(
      pickle_call(pickle_global("torch", "device"), {pickle_text("cuda"), "K\1"}));
  CHECK(device->global == "torch.device");
  REQUIRE(device->args.size() == 2);
  CHECK(std::get<std::string>(device->args[0].value) == "cuda");
  CHECK(std::holds_alternative<std::monostate>(device->state.value));
  const auto offset =
      value_of<RecordPointer>(pickle_global("cebra.data.datatypes", "Offset") + ")\x81N" +
                              pickle_dict({{"left", "K\5"}, {"right", "K\6"}}) +
                              "\x86"
                              "b");
  CHECK(offset->global == "cebra.data.datatypes.Offset");
  CHECK(std::get<std::int64_t>(std::get<PickleDict>(offset->state.value).find("right")->value) ==
        6);
  CHECK(value_of<RecordPointer>(pickle_global("torch", "float32"))->global == "torch.float32");
  CHECK(value_of<std::string>(pickle_global("torch.torch_version", "TorchVersion") +
                              pickle_text("2.1") + "\x85\x81") == "2.1");
  CHECK(value_of<PickleTuple>(pickle_call(pickle_global("torch", "Size"), {"K\1K\2\x86"}))
            .items.size() == 2);
  const std::string ordered = pickle_global("collections", "OrderedDict") + ")R";
  const auto dict = value_of<PickleDict>(ordered + pickle_text("a") + "Ns" +
                                         pickle_dict({{"_metadata", "N"}}) + "b");
  CHECK(dict.items.size() == 1);
}

TEST_CASE("pickle: numbers of NumPy") {
  CHECK(value_of<double>(scalar_of(kDtype, raw("\0\0\0\0\0\0\xf8\x3f"s))) == 1.5);
  const auto encoded = [](const std::string& text) {
    return pickle_call(pickle_global("_codecs", "encode"),
                       {pickle_text(text), pickle_text("latin1")});
  };
  CHECK(value_of<double>(scalar_of(kDtype, encoded("\0\0\0\0\0\0\xc3\xb8\x3f"s))) == 1.5);
  CHECK(value_of<PickleBytes>(encoded("\xc2\x80\xc3\xbf\x7f")).bytes == "\x80\xff\x7f");
  const auto integer = [](const char* code, const char* order, const std::string& bytes) {
    return value_of<std::int64_t>(scalar_of(dtype_of(code, order), raw(bytes)));
  };
  CHECK(integer("i8", "<", std::string(8, '\xff')) == -1);
  CHECK(integer("i4", "<", "\xfe\xff\xff\xff") == -2);
  CHECK(integer("u2", "<", "\xff\xff") == 65535);
  CHECK(integer("i1", "|", "\xff") == -1);
  CHECK(integer("u8", "<", std::string(7, '\xff') + "\x7f") == INT64_MAX);
  CHECK(value_of<bool>(scalar_of(dtype_of("b1", "|"), raw("\1"))));
  CHECK(value_of<double>(scalar_of(dtype_of("f4", "<"), raw("\0\0\xc0\x3f"s))) == 1.5);

  check_value_refused(scalar_of(dtype_of("u8", "<"), raw(std::string(8, '\xff'))),
                      "the number 18446744073709551615 is above 2^63 - 1");
  check_value_refused(scalar_of(dtype_of("f8", ">"), raw(std::string(8, '\0'))),
                      "a NumPy scalar of dtype >f8 with 8 bytes is not supported; allowed: <f8,");
  check_value_refused(scalar_of(kDtype, raw("1234")), "dtype <f8 with 4 bytes is not supported");
  check_value_refused(scalar_of("N", raw("1234")), "its arguments are not a dtype and bytes");
  check_value_refused(scalar_of(kDtype, "N"), "its arguments are not a dtype and bytes");
  check_value_refused(encoded("\xe2\x82\xac"), "a character is not in latin1");
  check_value_refused(encoded(std::string(65, 'x')), "found 65 bytes; at most 64 are allowed");
  check_value_refused(pickle_call(pickle_global("_codecs", "encode"), {pickle_text("a"), "N"}),
                      "its arguments are not a text and \"latin1\"");
}

TEST_CASE("pickle: other classes and functions are refused by name") {
  const auto refused = [](const std::string& global, const std::string& piece) {
    check_value_refused(global, piece, ErrorCode::incompatible);
  };
  refused(pickle_global("os", "system") + pickle_text("true") + "\x85R",
          "names \"os.system\", which is no known class or function; only tensors, containers");
  refused(pickle_text("builtins") + pickle_text("eval") + "\x93", "names \"builtins.eval\"");
  refused(pickle_global("cebra.integrations.sklearn.cebra", "CEBRA"),
          "a whole CEBRA object; save it with backend=\"sklearn\" instead of \"torch\"");
  refused(pickle_global("torch", "FloatStorage.x"), "names \"torch.FloatStorage.x\"");
  refused(pickle_global("numpy.core.multiarray", "_reconstruct"), "._reconstruct\", which is no");
  refused(pickle_global(std::string(100000, 'm'), "x\xff"), "mmm...\", which is no known");
  check_value_refused("]]\x93", "a class without a name");
}

TEST_CASE("pickle: operations that checkpoints do not need") {
  for (const char code :
       {'0',    '1',    '2',    'i',    'o',    'P',    'I',    'L',    'F',    'S',
        'V',    'd',    'l',    'p',    'g',    'U',    'T',    '\x82', '\x8b', '\x8f',
        '\x90', '\x91', '\x92', '\x96', '\x97', '\x98', '\xff', '\0'}) {
    const int number = static_cast<unsigned char>(code);
    check_value_refused(std::string(1, code) + "N",
                        "uses operation " + std::to_string(number) + ",", ErrorCode::incompatible);
  }
}

TEST_CASE("pickle: known functions with strange arguments") {
  const std::string rebuild = pickle_global("torch._utils", "_rebuild_tensor_v2");
  const std::string storage = pickle_storage({});
  const std::string wanted = "_rebuild_tensor_v2: its arguments are not a storage, an offset,";
  check_value_refused(pickle_call(rebuild, {}), wanted);
  check_value_refused(pickle_call(rebuild, {"N", "K\0"s, ")", ")", "\x89", "N"}), wanted);
  check_value_refused(pickle_call(rebuild, {storage, "K\0"s, ")", ")", "\x89", "N",
                                            pickle_dict({{"conj", "\x88"}})}),
                      wanted);
  check_value_refused(rebuild + "NR", "its arguments are not a tuple");
  check_value_refused(pickle_call(rebuild, {storage, "N", ")", ")", "\x89", "N"}),
                      "a tensor's offset is not an integer");
  check_value_refused(pickle_call(rebuild, {storage, "K\0"s, "]", ")", "\x89", "N"}),
                      "a tensor's shape is not a tuple");
  check_value_refused(pickle_call(rebuild, {storage, "K\0"s, "N\x85", ")", "\x89", "N"}),
                      "a tensor's shape is not an integer");
  check_value_refused(pickle_call(rebuild, {storage, "K\0"s, ")", ")", "K\0"s, "N"}),
                      "a tensor's requires_grad is not a bool");
  check_value_refused(pickle_tensor({"0", 6, 0, std::vector<std::int64_t>(9, 1), {}}),
                      "a tensor's shape has 9 dimensions; at most 8 are allowed");
  check_value_refused(pickle_call(pickle_global("torch._utils", "_rebuild_parameter"), {"N"}),
                      "its arguments are not a tensor, a bool and hooks");
  check_value_refused(pickle_call(pickle_global("collections", "OrderedDict"), {"N"}),
                      "its arguments are not empty");
  check_value_refused(pickle_call(pickle_global("torch", "Size"), {"N"}), "are not one tuple");
  check_value_refused(pickle_call(pickle_global("torch.torch_version", "TorchVersion"), {"N"}),
                      "are not one text");
  check_value_refused(pickle_call(pickle_global("torch", "float32"), {}), "must not be called");
  check_value_refused("N)R", "calls something that is no class or function");
  check_value_refused("NNb", "sets the state of something that has none");
}

TEST_CASE("pickle: persistent ids other than storages") {
  const std::string wanted = "a persistent id is not (\"storage\", class, key, location,";
  check_value_refused("NQ", wanted);
  check_value_refused(")Q", wanted);
  check_value_refused(pickle_tuple({pickle_text("module"), pickle_global("torch", "FloatStorage"),
                                    pickle_text("0"), pickle_text("cpu"), "K\1"}) +
                          "Q",
                      wanted);
  check_value_refused(pickle_tuple({pickle_text("storage"), pickle_global("torch", "float32"),
                                    pickle_text("0"), pickle_text("cpu"), "K\1"}) +
                          "Q",
                      wanted);
  TensorText text;
  text.key = std::string(257, 'x');
  check_value_refused(pickle_tensor(text), "a storage's key has 257 bytes; at most 256");
  check_value_refused(pickle_storage({}), "holds a storage outside a tensor");
  check_value_refused(pickle_global("torch", "Size"), "holds the class or function \"torch.Size\"");
}

TEST_CASE("pickle: no pickle, or another protocol") {
  check_refused("", "is truncated: needs 1 more bytes, has 0");
  check_refused("N.", "is not a pickle of protocol 2 to 5");
  check_refused("\x80\1N.", "is not a pickle of protocol 2 to 5: its protocol is 1");
  check_refused("\x80\6N.", "is not a pickle of protocol 2 to 5: its protocol is 6");
  check_refused("\x80\2N..", "is damaged: 1 bytes follow its end");
  check_refused("\x80\2.", "it ends with 0 objects; must be 1");
  check_refused("\x80\2NN.", "it ends with 2 objects; must be 1");
  check_refused("\x80\2(N.", "is damaged: it ends with");
}

TEST_CASE("pickle: a damaged stack") {
  check_value_refused("a", "an operation finds too few objects");
  check_value_refused("Na", "an operation finds no object on the stack");
  check_value_refused("NNa", "appends to something that is no list");
  check_value_refused("N(NNu", "sets a key of something that is no dict");
  check_value_refused("}(Nu", "a key without a value");
  check_value_refused("N]e", "an operation finds no mark");
  check_value_refused("N(\x85", "an operation finds too few objects");
  check_value_refused("q\1", "an operation finds no object on the stack");
  check_value_refused("h\1", "a memo entry is used that is not there");
  check_value_refused("R", "an operation finds no object on the stack");
}

TEST_CASE("pickle: texts that are no UTF-8") {
  for (const std::string bad :
       {"\x80", "\xc1\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xe2\x28\xa1"}) {
    check_value_refused(pickle_text(bad), "a text is not valid UTF-8");
  }
  for (const std::string good :
       {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(value_of<std::string>(pickle_text(good)) == good);
  }
}

TEST_CASE("pickle: huge counts") {
  check_value_refused("X\xff\xff\xff\xff", "is truncated: needs 4294967295 more bytes, has 1");
  check_value_refused("\x8e" + std::string(8, '\xff'), "needs 18446744073709551615 more bytes");
  check_value_refused("\x8d" + std::string(7, '\xff') + "\x7f", "needs 9223372036854775807 more");
  check_value_refused(
      "Nr\xff\xff\xff\xff"
      "0",
      "uses operation 48", ErrorCode::incompatible);
}

TEST_CASE("pickle: depth") {
  const auto nested = [](std::size_t depth) {
    return pickle(std::string(depth, ']') + std::string(depth - 1, 'a'));
  };
  CHECK(std::holds_alternative<PickleList>(read(nested(100)).value));
  const std::string deep = "is nested deeper than 100, or an object holds itself";
  check_refused(nested(101), deep);
  check_refused(nested(1'000'000), deep);
  check_value_refused("N" + std::string(1'000'000, '\x85'), deep);
  check_value_refused(std::string(1'000'000, '('), "is damaged: it ends with");
}

TEST_CASE("pickle: objects that hold themselves") {
  const std::string deep = "is nested deeper than 100, or an object holds itself";
  check_value_refused("]q\0h\0a"s, deep);
  check_value_refused("]q\0(h\0h\0h\0e"s, deep);
  check_value_refused("}q\0"s + pickle_text("a") + "h\0s"s, deep);
  check_value_refused("]q\0h\0\x85q\1a"s, deep);
  check_value_refused("}q\0h\0Ns"s, deep);
  check_value_refused(pickle_global("torch", "device") + ")Rq\0h\0b"s, deep);
}

TEST_CASE("pickle: repetition through the memo is bounded") {
  std::string lists = "(](NNNNNNNNNNe";
  for (int level = 0; level < 9; ++level) lists += "q\1](h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1e";
  check_value_refused(lists + "t", "holds more than 4096 values");
  const std::string padding(1000, 'N');
  check_value_refused("(" + padding + lists + "tt", "holds more than 19920 values");
  std::string texts = pickle_text(std::string(1000, 'x')) + "q\1](";
  for (int i = 0; i < 1000; ++i) texts += "h\1";
  check_value_refused(texts + "e\x86", "repeats its texts too often");
}

TEST_CASE("pickle: truncated at every byte") {
  const std::string good = pickle(pickle_dict(
      {{"model", pickle_tensor({})}, {"a", scalar_of(kDtype, raw("12345678"))}, {"b", "]K\1a"}}));
  REQUIRE(std::holds_alternative<PickleDict>(read(good).value));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(read(good.substr(0, size)), Error);
  }
}

TEST_CASE("pickle: damaged at every byte") {
  const std::string good = pickle(pickle_dict(
      {{"model", pickle_tensor({})}, {"a", scalar_of(kDtype, raw("12345678"))}, {"b", "]K\1a"}}));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      try {
        read(bad);
      } catch (const Error& error) {
        CHECK(std::string(error.what()).find("a.pt, byte ") == 0);
      }
    }
  }
}

TEST_CASE("pickle: names of types") {
  CHECK(type_text(read_value("N")) == "None"s);
  CHECK(type_text(read_value("\x88")) == "a bool"s);
  CHECK(type_text(read_value("K\1")) == "an integer"s);
  CHECK(type_text(read_value(pickle_tensor({}))) == "a tensor"s);
  CHECK(type_text(read_value(pickle_global("torch", "float32"))) == "an object"s);
}

#include "temporary_folder.hpp"

#include <grevy/error.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::element_size;
using grevy::host::read_safetensors;
using grevy::host::StoredTensor;
using grevy::host::StoredTensors;
using grevy::host::write_safetensors;
using grevy::tests::file_bytes;
using grevy::tests::TemporaryFolder;

namespace {

std::string length_bytes(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

std::string file_of(const std::string& header, const std::string& data = "") {
  return length_bytes(header.size()) + header + data;
}

StoredTensors read_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  return read_safetensors(folder.write("a.safetensors", bytes));
}

void check_message(const Error& error, const std::string& piece) {
  const std::string message = error.what();
  CAPTURE(message);
  CAPTURE(piece);
  CHECK(error.code() == ErrorCode::invalid_value);
  CHECK(message.find("a.safetensors: ") != std::string::npos);
  CHECK(message.find(piece) != std::string::npos);
  CHECK(message.size() < 600);
}

void check_refused(const std::string& bytes, const std::string& piece) {
  try {
    read_bytes(bytes);
    FAIL("nothing was thrown for: " << piece);
  } catch (const Error& error) {
    check_message(error, piece);
  }
}

void check_header_refused(const std::string& header, const std::string& piece) {
  CAPTURE(header.substr(0, 200));
  check_refused(file_of(header, "12345678"), piece);
}

void check_write_refused(const StoredTensors& content, const std::string& piece) {
  const TemporaryFolder folder;
  try {
    write_safetensors(folder / "a.safetensors", content);
    FAIL("nothing was thrown for: " << piece);
  } catch (const Error& error) {
    check_message(error, piece);
  }
  CHECK(fs::is_empty(folder.path()));
}

std::vector<unsigned char> counting_bytes(std::size_t count) {
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<unsigned char>(i * 37));
  return bytes;
}

bool same(const StoredTensor& a, const StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

void check_round_trip(const StoredTensors& content) {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.safetensors";
  write_safetensors(file, content);
  const StoredTensors found = read_safetensors(file);
  CHECK(found.metadata == content.metadata);
  REQUIRE(found.tensors.size() == content.tensors.size());
  for (const auto& item : content.tensors) {
    CAPTURE(item.first);
    REQUIRE(found.tensors.count(item.first) == 1);
    CHECK(same(found.tensors.at(item.first), item.second));
  }
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

const std::string kGood = entry("U8", "[8]", "[0,8]");

}  // namespace

TEST_CASE("safetensors: element sizes") {
  const std::pair<const char*, std::size_t> sizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"I16", 2}, {"U16", 2}, {"F16", 2}, {"BF16", 2},
      {"I32", 4},  {"U32", 4}, {"F32", 4}, {"F64", 8}, {"I64", 8}, {"U64", 8}};
  for (const auto& item : sizes) {
    const auto [dtype, size] = item;
    CAPTURE(item.first);
    CHECK(element_size(dtype) == size);
    check_round_trip({{{"t", {dtype, {2, 3}, counting_bytes(6 * size)}}}, {}});
  }
  for (const char* unknown : {"", "f32", "F8", "F32 ", "float"}) CHECK(element_size(unknown) == 0);
}

TEST_CASE("safetensors: scalars, empty tensors, names and metadata survive") {
  check_round_trip({});
  check_round_trip({{}, {{"key", "value"}, {"", ""}}});
  check_round_trip({{{"scalar", {"F32", {}, counting_bytes(4)}},
                     {"empty", {"I64", {3, 0, 2}, {}}},
                     {"", {"BOOL", {1}, {1}}},
                     {"encoder.0.weight", {"F64", {1, 2}, counting_bytes(16)}},
                     {"\xc3\xa4 \"\\\n", {"U8", {5}, counting_bytes(5)}}},
                    {{"format", "pt"}, {"text", "{\"a\": \"\xe2\x82\xac\"}\n"}}});
}

TEST_CASE("safetensors: the bytes of a file") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.safetensors";
  write_safetensors(file, {{{"b", {"U8", {3}, {'x', 'y', 'z'}}},
                            {"c", {"U16", {1}, {'3', '4'}}},
                            {"a", {"U16", {1}, {'1', '2'}}}},
                           {{"k", "v"}}});
  const std::string header =
      "{\"__metadata__\":{\"k\":\"v\"},"
      "\"a\":{\"data_offsets\":[0,2],\"dtype\":\"U16\",\"shape\":[1]},"
      "\"b\":{\"data_offsets\":[4,7],\"dtype\":\"U8\",\"shape\":[3]},"
      "\"c\":{\"data_offsets\":[2,4],\"dtype\":\"U16\",\"shape\":[1]}}";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(padded.size() % 8 == 0);
  CHECK(file_bytes(file) == file_of(padded, "1234xyz"));
}

TEST_CASE("safetensors: every tensor lies at a multiple of its element size") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.safetensors";
  write_safetensors(file, {{{"a", {"U8", {1}, {1}}},
                            {"b", {"F64", {1}, counting_bytes(8)}},
                            {"c", {"BF16", {1}, counting_bytes(2)}},
                            {"d", {"F32", {1}, counting_bytes(4)}}},
                           {}});
  const std::string bytes = file_bytes(file);
  for (const char* offsets :
       {"\"b\":{\"data_offsets\":[0,8]", "\"d\":{\"data_offsets\":[8,12]",
        "\"c\":{\"data_offsets\":[12,14]", "\"a\":{\"data_offsets\":[14,15]"}) {
    CHECK(bytes.find(offsets) != std::string::npos);
  }
}

TEST_CASE("safetensors: files of other writers") {
  const std::string spaced =
      "{ \"b\" : {\"shape\":[2], \"data_offsets\":[6,8], \"dtype\":\"I8\"},\n\t\"a\":" +
      entry("F16", "[3]", "[0,6]") + " }   ";
  const StoredTensors found = read_bytes(file_of(spaced, "12345678"));
  REQUIRE(found.tensors.size() == 2);
  CHECK(same(found.tensors.at("a"), {"F16", {3}, {'1', '2', '3', '4', '5', '6'}}));
  CHECK(same(found.tensors.at("b"), {"I8", {2}, {'7', '8'}}));
  CHECK(read_bytes(file_of("{}")).tensors.empty());
  CHECK(read_bytes(file_of("{\"__metadata__\":{}}")).metadata.empty());
  const std::string with_empty = "{\"z\":" + entry("F32", "[0]", "[0,0]") + ",\"a\":" + kGood + "}";
  CHECK(read_bytes(file_of(with_empty, "12345678")).tensors.size() == 2);
}

TEST_CASE("safetensors: missing file, folder, file without a header") {
  const TemporaryFolder folder;
  const std::string absent = (folder / "absent").string();
  try {
    read_safetensors(absent);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(std::string(error.what()) == absent + ": no such file");
  }
  CHECK_THROWS_WITH_AS(read_safetensors(folder.path()),
                       doctest::Contains("is not a safetensors file: it is a folder"), Error);
  check_refused("", "is not a safetensors file: it has 0 bytes");
  check_refused("1234567", "is not a safetensors file: it has 7 bytes");
}

TEST_CASE("safetensors: header lengths") {
  check_refused(length_bytes(0), "header: must begin with {");
  check_refused(length_bytes(3) + "{}",
                "is truncated: the header needs 3 bytes, the file has 2 after its length");
  check_refused(length_bytes(100'000'000) + "{}", "is truncated: the header needs 100000000 bytes");
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, ~std::uint64_t{0},
                                     ~std::uint64_t{0} - 7, std::uint64_t{1} << 63}) {
    check_refused(length_bytes(length) + "{}", "it asks for a header of " + std::to_string(length) +
                                                   " bytes; at most 100000000 are allowed");
  }
}

TEST_CASE("safetensors: headers that are no JSON object") {
  check_header_refused("[]", "header: must begin with {");
  check_header_refused(" {}", "header: must begin with {");
  check_header_refused("\xef\xbb\xbf{}", "header: must begin with {");
  check_header_refused("{", "header: not valid JSON at its byte 2");
  check_header_refused("{}x", "header: not valid JSON at its byte 3");
  check_header_refused("{}{}", "header: not valid JSON");
  check_header_refused(std::string("{}\0x", 4), "header: not valid JSON: it has zero bytes");
  check_header_refused("{\"a\":}", "header: not valid JSON");
  check_header_refused("{\"a\":" + kGood + ",}", "header: not valid JSON");
  check_header_refused("{\"\xff\":" + kGood + "}", "header: not valid JSON");
  check_header_refused("{\"a\": " + std::string(100000, 'x') + "}", "header: not valid JSON");
}

TEST_CASE("safetensors: nesting deeper than the format") {
  const std::size_t depth = 1'000'000;
  std::string objects;
  for (std::size_t i = 0; i < depth; ++i) objects += "{\"a\":";
  check_header_refused(objects, "tensor \"a\": unknown key \"a\"");
  const std::string arrays(depth, '[');
  check_header_refused("{\"a\":" + arrays, "tensor \"a\": found an array; must be an object");
  check_header_refused("{\"a\":{\"shape\":" + arrays,
                       "tensor \"a\", \"shape\": found an array; must be an integer");
  check_header_refused("{\"a\":{\"shape\":{", "\"shape\": found an object; must be an array");
  check_header_refused("{\"a\":{\"shape\":[{", "\"shape\": found an object; must be an integer");
  check_header_refused("{\"a\":{\"dtype\":[", "\"dtype\": found an array; must be a string");
  check_header_refused("{\"__metadata__\":{\"k\":{", "\"k\": found an object; must be a string");
  check_header_refused("{\"__metadata__\":{\"k\":[", "\"k\": found an array; must be a string");
}

TEST_CASE("safetensors: values of another type") {
  for (const std::string value : {"null", "true", "1", "-1", "1.5", "\"text\""}) {
    CAPTURE(value);
    const std::string found = ": found " + std::string(value == "\"text\"" ? "a string" : "");
    check_header_refused("{\"a\":" + value + "}", "tensor \"a\"" + found);
    check_header_refused("{\"a\":{\"shape\":" + value + "}}", "tensor \"a\", \"shape\"" + found);
    check_header_refused("{\"__metadata__\":" + value + "}", "__metadata__" + found);
    if (value == "\"text\"") continue;
    check_header_refused("{\"a\":{\"dtype\":" + value + "}}", "must be a string");
    check_header_refused("{\"__metadata__\":{\"k\":" + value + "}}", "__metadata__, \"k\"" + found);
  }
  for (const std::string value : {"null", "false", "-1", "-0", "1.5", "1e3", "\"1\"",
                                  "9223372036854775808", "99999999999999999999"}) {
    CAPTURE(value);
    check_header_refused("{\"a\":{\"shape\":[" + value + "]}}",
                         "must be an integer from 0 to 2^63-1");
    check_header_refused("{\"a\":{\"data_offsets\":[0," + value + "]}}",
                         "must be an integer from 0 to 2^63-1");
  }
  check_header_refused("{\"a\":{\"shape\":[1e" + std::string(100000, '0') + "1]}}",
                       "must be an integer");
}

TEST_CASE("safetensors: missing, unknown and repeated keys") {
  check_header_refused("{\"a\":{}}", "tensor \"a\": the key \"dtype\" is missing");
  check_header_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,8]}}",
                       "the key \"shape\" is missing");
  check_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[8]}}",
                       "the key \"data_offsets\" is missing");
  check_header_refused(
      "{\"a\":{\"strides\":[1]}}",
      "tensor \"a\": unknown key \"strides\"; allowed: dtype, shape, data_offsets");
  check_header_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}",
                       "tensor \"a\", \"dtype\": the key is repeated");
  check_header_refused("{\"a\":" + kGood + ",\"a\":" + kGood + "}",
                       "header: the name \"a\" is repeated");
  check_header_refused("{\"__metadata__\":{},\"__metadata__\":{}}",
                       "header: the name \"__metadata__\" is repeated");
  check_header_refused("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}",
                       "__metadata__, \"k\": the key is repeated");
}

TEST_CASE("safetensors: dtypes, shapes and ranges that do not agree") {
  const auto refused = [](const std::string& dtype, const std::string& shape,
                          const std::string& offsets, const std::string& piece) {
    check_header_refused("{\"a\":" + entry(dtype, shape, offsets) + "}", "tensor \"a\"" + piece);
  };
  refused("F8", "[8]", "[0,8]", ": unknown dtype \"F8\"; allowed: BOOL, U8, I8, I16,");
  refused("F32", "[3]", "[0,8]", ": dtype and shape need 12 bytes, data_offsets give 8");
  refused("U8", "[8]", "[8,0]", ": data_offsets end before they begin");
  refused("U8", "[8]", "[8]", ", \"data_offsets\": found 1 numbers; must be 2: begin and end");
  refused("U8", "[8]", "[0,4,8]", ", \"data_offsets\": found 3 numbers");
  refused("U8", "[8]", "[]", ", \"data_offsets\": found 0 numbers");
  const std::string overflow = ": the shape is too large: its size overflows 64 bits";
  refused("U8", "[4294967296,4294967296]", "[0,0]", overflow);
  refused("F64", "[2305843009213693952]", "[0,0]", overflow);
  refused("U8", "[9223372036854775807,9223372036854775807]", "[0,1]", overflow);
  std::string ones = "1";
  for (int i = 1; i < 64; ++i) ones += ",1";
  CHECK(read_bytes(file_of("{\"a\":" + entry("U64", "[" + ones + "]", "[0,8]") + "}", "12345678"))
            .tensors.at("a")
            .shape.size() == 64);
  refused("U8", "[" + ones + ",1]", "[0,1]", ", \"shape\": more than 64 numbers");
}

TEST_CASE("safetensors: ranges with gaps, overlaps or outside the file") {
  const auto pair = [](const std::string& a, const std::string& b) {
    return "{\"a\":" + a + ",\"b\":" + b + "}";
  };
  const auto bytes = [](int begin, int end) {
    return entry("U8", "[" + std::to_string(end - begin) + "]",
                 "[" + std::to_string(begin) + "," + std::to_string(end) + "]");
  };
  check_header_refused(pair(bytes(0, 3), bytes(4, 8)),
                       "tensor \"b\": its data begin at 4; must be 3, without gap");
  check_header_refused(pair(bytes(0, 5), bytes(4, 8)),
                       "tensor \"b\": its data begin at 4; must be 5, without overlap");
  check_header_refused(pair(bytes(0, 8), bytes(0, 8)), "must be 8, without overlap");
  check_header_refused(pair(bytes(0, 8), bytes(5, 5)), "must be 8, without overlap");
  check_header_refused("{\"a\":" + bytes(1, 8) + "}", "must be 0, without gap");
  check_header_refused(pair(bytes(0, 4), bytes(4, 9)),
                       "is truncated: the tensors take 9 bytes, the file has 8 after its header");
  check_header_refused(pair(bytes(0, 4), bytes(4, 7)),
                       "has bytes that no tensor uses: the tensors take 7 bytes, the file has 8");
  check_header_refused("{}", "has bytes that no tensor uses: the tensors take 0 bytes");
  check_header_refused(
      "{\"a\":" + entry("U8", "[9223372036854775807]", "[0,9223372036854775807]") + "}",
      "is truncated: the tensors take 9223372036854775807 bytes, the file has 8");
}

TEST_CASE("safetensors: names from a file are made harmless in messages") {
  check_header_refused("{\"\\u001b[31m\\n\":1}", "tensor \"\\u001b[31m\\n\": found the number 1");
  check_header_refused("{\"" + std::string(100000, 'n') + "\":1}",
                       "tensor \"" + std::string(80, 'n') + "\"...: found the number 1");
  std::string umlauts = "n";
  for (int i = 0; i < 60; ++i) umlauts += "\xc3\xa4";
  check_header_refused("{\"" + umlauts + "\":1}", "\\u00e4\\ufffd\"...: found the number 1");
}

TEST_CASE("safetensors: truncated at every byte") {
  const std::string good =
      file_of("{\"__metadata__\":{\"k\":\"v\"},\"a\":" + kGood + "}", "12345678");
  CHECK(read_bytes(good).tensors.size() == 1);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(read_bytes(good.substr(0, size)), Error);
  }
}

TEST_CASE("safetensors: damaged at every byte") {
  const TemporaryFolder folder;
  const std::string good =
      file_of("{\"__metadata__\":{\"k\":\"v\"},\"a\":" + kGood + "}", "12345678");
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char value : {'\0', '\1', '"', '{', '}', '[', ']', '9', '-', '\\', '\xff'}) {
      std::string bad = good;
      bad[at] = value;
      try {
        const std::size_t count = read_safetensors(folder.write("a", bad)).tensors.size();
        CHECK(count == 1);
      } catch (const Error& error) {
        const ErrorCode code = error.code();
        CHECK(code == ErrorCode::invalid_value);
      }
    }
  }
}

TEST_CASE("safetensors: content that cannot be written") {
  const auto one = [](const std::string& name, const StoredTensor& tensor) {
    StoredTensors content;
    content.tensors[name] = tensor;
    return content;
  };
  check_write_refused(one("a", {"F32", {2}, counting_bytes(7)}),
                      "tensor \"a\": dtype and shape need 8 bytes; found 7");
  check_write_refused(one("a", {"F8", {1}, {1}}),
                      "tensor \"a\": unknown dtype \"F8\"; allowed: BOOL");
  check_write_refused(one("a", {"U8", {-1}, {}}), "the shape has the negative length -1");
  check_write_refused(one("a", {"F64", {std::int64_t{1} << 61}, {}}), "overflows 64 bits");
  check_write_refused(one("a", {"U8", std::vector<std::int64_t>(65, 1), {1}}),
                      "the shape has more than 64 dimensions");
  check_write_refused(one("__metadata__", {"U8", {1}, {1}}),
                      "tensor \"__metadata__\": the name is reserved by the format");
  check_write_refused(one("\xff", {"U8", {1}, {1}}),
                      "a tensor's name or the metadata are not valid UTF-8");
  check_write_refused({{}, {{"k", "\xff"}}}, "a tensor's name or the metadata are not valid UTF-8");
  check_write_refused({{}, {{"k", std::string(100'000'000, 'x')}}},
                      "bytes; at most 100000000 are allowed");
}

TEST_CASE("safetensors: a folder that is not there") {
  const TemporaryFolder folder;
  try {
    write_safetensors(folder / "absent/a", {});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::io);
    CHECK(std::string(error.what()).find("No such file or directory") != std::string::npos);
  }
}

// Files that are damaged at one place, made for it byte by byte.
#include "elf_image.hpp"
#include "files/cebra_checkpoint.hpp"
#include "files/json_text.hpp"
#include "files/npy_header.hpp"
#include "files/torch_file.hpp"
#include "plugins/elf_links.hpp"
#include "temporary_folder.hpp"
#include "torch_writer.hpp"

#include <grevy/error.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <string>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

template <class Read>
void check_refused(Read&& read, const std::string& piece,
                   ErrorCode code = ErrorCode::invalid_value) {
  CAPTURE(piece);
  try {
    read();
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.code() == code);
    CHECK(message.find(piece) != std::string::npos);
  }
}

void check_header_refused(const std::string& header, const std::string& piece) {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a.safetensors", little_endian(header.size(), 8) + header);
  check_refused([&] { read_safetensors(file); }, piece);
}

std::string with_checksum(const std::string& value, const std::string& end = "}}") {
  return R"({"__metadata__":{"grevy.sha256":")" + value + "\"" + end;
}

// Of a solver's or an estimator's file with this pickle.
void check_checkpoint_refused(const std::string& value, const std::string& piece) {
  const TemporaryFolder folder;
  const fs::path file = write_zip(folder / "a.pt", {{"archive/data.pkl", pickle(value)}});
  check_refused([&] { read_cebra_checkpoint(file); }, piece);
}

std::string needed(const Image& image) {
  const TemporaryFolder folder;
  return needed_of_libtorch(folder.write("plugin.so", image.bytes()));
}

}  // namespace

TEST_CASE("safetensors: a checksum that is not 64 digits, or written in another way") {
  const std::string wanted = "header: the checksum is not 64 hexadecimal digits";
  const std::string digits(64, 'a');
  check_header_refused(with_checksum("abc"), wanted);
  check_header_refused(with_checksum("abc", "}}" + std::string(80, ' ')), wanted);
  check_header_refused(with_checksum(digits + "0"), wanted);
  check_header_refused(R"({"__metadata__":{"grevy.sha256": ")" + digits + "\"}}", wanted);
  check_header_refused(with_checksum(digits), "is damaged: its bytes do not give its checksum");
}

TEST_CASE("torch file: a storage that ends within an element") {
  const TemporaryFolder folder;
  ZipMember storage = six_floats();
  storage.bytes.pop_back();
  TorchFile file = TorchFile::open(
      write_zip(folder / "a.pt",
                {{"archive/data.pkl", pickle(pickle_dict({{"t", pickle_tensor({})}}))}, storage}));
  const auto& root = std::get<PickleDict>(file.root().value);
  const auto tensor = std::get<TensorPointer>(root.find("t")->value);
  check_refused([&] { file.read(*tensor, "a.pt"); }, "23 bytes");
}

TEST_CASE("a checkpoint of CEBRA: keys of a file that is none") {
  check_checkpoint_refused("}(K\1Nu", "an integer");
  std::vector<std::pair<std::string, std::string>> items;
  for (int i = 0; i < 21; ++i) items.emplace_back("key" + std::to_string(i), "N");
  check_checkpoint_refused(pickle_dict(items), "\"key19\", ...");
  check_checkpoint_refused(pickle_dict({{"args", "}"}}),
                           "the key \"state\" is missing; there are: \"args\"");
}

TEST_CASE("npy header: a dtype that is a dictionary") {
  const std::string dictionary = "{'descr': {'names': ['a']}, 'fortran_order': False, 'shape': ()}";
  const std::string header =
      std::string("\x93NUMPY\x01\x00", 8) + little_endian(dictionary.size(), 2) + dictionary;
  check_refused([&] { parse_npy_header(header, "a.npy"); }, "(structured)",
                ErrorCode::invalid_type);
  CHECK(format_npy_header({2}, ElementType::int8).find("'|i1'") != std::string::npos);
}

TEST_CASE("JSON: what is no text is not shown") {
  check_refused([] { parse_json("\x7f", "a.json"); }, "a.json: is not JSON: ");
  try {
    parse_json("\x7f\xff", "a.json");
  } catch (const Error& error) {
    for (const char letter : std::string(error.what())) CHECK((letter >= ' ' && letter <= '~'));
  }
}

TEST_CASE("a library's tables that are missing, or of another layout") {
  Image image = image_with("");
  CHECK(needed(image).empty());
  image.header.e_shoff = 0;
  CHECK(needed(image).empty());
  Image narrow = image_with("");
  narrow.header.e_phentsize = sizeof(Elf64_Phdr) - 8;
  check_refused([&] { needed(narrow); }, "program headers: found entries of 48 bytes; must be 56",
                ErrorCode::incompatible);
  Image wide = image_with("");
  wide.header.e_shentsize = sizeof(Elf64_Shdr) + 8;
  check_refused([&] { needed(wide); }, "section headers: found entries of 72 bytes; must be 64",
                ErrorCode::incompatible);
}

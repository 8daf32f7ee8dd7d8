#include "training/checkpoint_info.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::checkpoint_format;
using grevy::host::parse_words;
using grevy::host::Random;
using grevy::host::read_info;
using grevy::host::store_info;
using grevy::host::StoredTensors;
using grevy::host::to_words;
using nlohmann::json;

namespace {

std::string refusal(const std::map<std::string, std::string>& metadata,
                    ErrorCode code = ErrorCode::invalid_value) {
  StoredTensors content;
  content.metadata = metadata;
  try {
    read_info(content);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "accepted";
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("checkpoint info: comes back as it was stored") {
  json info = {{"step", 4}, {"experiment", {{"seed", 1}}}};
  StoredTensors content;
  store_info(info, content);
  info["format"] = checkpoint_format;
  CHECK(read_info(content) == info);
}

TEST_CASE("checkpoint info: other files") {
  CHECK(refusal({}) == "is a safetensors file, but no Grevy checkpoint");
  CHECK(refusal({{"step", "no JSON"}}) == "is a safetensors file, but no Grevy checkpoint");
  CHECK(refusal({{"format", "pt"}}) == "the checkpoint's metadata \"format\" is damaged");
  CHECK(refusal({{"format", "\"grevy.checkpoint/3\""}}, ErrorCode::incompatible) ==
        "is a checkpoint of format \"grevy.checkpoint/3\"; this version reads "
        "\"grevy.checkpoint/1\" and \"grevy.checkpoint/2\"");
  CHECK(refusal({{"format", nested(64)}}, ErrorCode::incompatible).size() < 200);
}

TEST_CASE("checkpoint info: format 1 has no checksum, format 2 cannot do without") {
  StoredTensors content;
  content.metadata = {{"format", "\"grevy.checkpoint/1\""}, {"step", "3"}};
  CHECK(read_info(content).at("step") == 3);
  CHECK(refusal({{"format", "\"grevy.checkpoint/2\""}}) == "the checkpoint has lost its checksum");
}

TEST_CASE("checkpoint info: damaged values") {
  const std::string format = json(checkpoint_format).dump();
  CHECK(refusal({{"format", format}, {"step", "{"}}) ==
        "the checkpoint's metadata \"step\" is damaged");
  CHECK(refusal({{"format", format}, {"a\n", nested(2'000'000)}}) ==
        R"(the checkpoint's metadata "a\n" is damaged)");
}

TEST_CASE("checkpoint info: a generator's state") {
  const Random random(3, "train");
  CHECK(parse_words(to_words(random.state())) == random.state());
  const std::pair<json, std::string> cases[] = {
      {json::array({"1", "2", "3"}), "a generator's state has 3 words; must be 4"},
      {5, "a generator's state has 1 words; must be 4"},
      {{"1", "2", "3", ""}, "a generator's state has the word \"\"; must be a number"},
      {{"1", "2", "3", "4x"}, "a generator's state has the word \"4x\"; must be a number"},
      {{"1", "2", "3", "-4"}, "a generator's state has the word \"-4\"; must be a number"},
      {{"1", "2", "3", "18446744073709551616"},
       "a generator's state has the word \"18446744073709551616\"; must be a number"},
      {{"1", "2", "3", 4}, "a generator's state has the word 4; must be a number"},
      {{"0", "0", "0", "0"}, "a generator's state is all zero"}};
  for (const auto& [words, text] : cases)
    CHECK_THROWS_WITH_AS(parse_words(words), text.c_str(), Error);
}

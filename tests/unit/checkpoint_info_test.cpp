#include "training/checkpoint_info.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::checkpoint_format;
using grevy::host::read_info;
using grevy::host::store_info;
using grevy::host::StoredTensors;
using nlohmann::json;

namespace {

std::string refusal(const std::map<std::string, std::string>& metadata) {
  StoredTensors content;
  content.metadata = metadata;
  try {
    read_info(content);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_value);
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
  CHECK(refusal({{"format", "\"other/1\""}}) ==
        "is a checkpoint of format \"other/1\"; this version reads \"grevy.checkpoint/1\"");
  CHECK(refusal({{"format", nested(64)}}).size() < 200);
}

TEST_CASE("checkpoint info: damaged values") {
  const std::string format = json(checkpoint_format).dump();
  CHECK(refusal({{"format", format}, {"step", "{"}}) ==
        "the checkpoint's metadata \"step\" is damaged");
  CHECK(refusal({{"format", format}, {"a\n", nested(2'000'000)}}) ==
        R"(the checkpoint's metadata "a\n" is damaged)");
}

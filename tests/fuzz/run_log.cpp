// A run's log that is gone on with: "STEP BYTES" or "STEP", a line's end, the file.
#include "training/run_log.hpp"

#include "support.hpp"

#include <charconv>
#include <fstream>
#include <iterator>

using namespace grevy::fuzz;
using grevy::host::RunLog;
using nlohmann::json;

namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number)
                                                                  : std::nullopt;
}

// Checkpoints have steps from 0 on and lengths of files.
std::optional<RunLog::Position> position_in(std::string_view text) {
  const auto [step, bytes] = split(text, ' ');
  RunLog::Position position;
  position.step = number_in<std::int64_t>(step).value_or(-1);
  if (position.step < 0) return std::nullopt;
  if (!bytes.empty()) position.bytes = number_in<std::uint32_t>(bytes);
  return position;
}

std::string content_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// Every line is a step's, of one before `step`.
void check_lines(std::string_view text, std::int64_t step) {
  while (!text.empty()) {
    const auto [line, rest] = split(text, '\n');
    const json entry = json::parse(line, nullptr, false);
    expect(entry.is_object() && entry.at("step").get<std::int64_t>() < step, "a line was kept");
    text = rest;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [head, text] = split(view(data, size), '\n');
  const auto position = position_in(head);
  if (!position) return 0;
  const std::string file = write_input(text);
  std::string kept;
  {
    RunLog log(file, *position);
    kept = content_of(file);
    expect(log.bytes() == kept.size(), "the length is another one");
    if (position->step == 0) expect(kept.empty(), "lines of a run that begins were kept");
    const bool is_cut = position->bytes && !log.was_shortened() && position->step > 0;
    if (is_cut) expect(kept == text.substr(0, *position->bytes), "the file was cut elsewhere");
    if (position->step > 0 && !is_cut) check_lines(kept, position->step);
    log.add({{"step", position->step}});
    expect(log.bytes() == content_of(file).size(), "the length is not counted");
  }
  // The line that was added is of a later step: it goes, and nothing else.
  const RunLog again(file, {position->step, kept.size()});
  expect(content_of(file) == kept, "going on again gives something else");
  return 0;
}

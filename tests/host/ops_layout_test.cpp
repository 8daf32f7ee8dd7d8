// What is frozen of the extensions for plugins, written out once more: a change that only another
// number of the extension may bring fails here. Sizes and offsets are in extensions_layout.h.
#include "host/ops_support.hpp"
#include "plugins/extensions_layout.h"
#include "unit/temporary_folder.hpp"

#include <grevy/options.h>

#include <algorithm>
#include <regex>
#include <string_view>

using namespace grevy;
using namespace grevy::tests;

static_assert(std::string_view(GREVY_OPS_EXTENSION) == "grevy.ops/1");
static_assert(std::string_view(GREVY_KERNEL_EXTENSION) == "grevy.kernel/1");
static_assert(std::string_view(GREVY_OPTIONS_EXTENSION) == "grevy.options/1");

namespace {

// kinds: of the attributes, i integer, n number, l list of integers, t text, g generator.
struct Operation {
  std::uint32_t named, number;
  const char *name, *takes, *kinds;
};

// clang-format off
constexpr Operation operations[] = {
    {GREVY_OP_ADD, 0, "add/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_SUBTRACT, 1, "subtract/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_MULTIPLY, 2, "multiply/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_DIVIDE, 3, "divide/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_POWER, 4, "power/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_MINIMUM, 5, "minimum/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_MAXIMUM, 6, "maximum/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_EQUAL, 7, "equal/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_NOT_EQUAL, 8, "not_equal/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_LESS, 9, "less/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_LESS_EQUAL, 10, "less_equal/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_GREATER, 11, "greater/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_GREATER_EQUAL, 12, "greater_equal/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_LOGICAL_AND, 13, "logical_and/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_LOGICAL_OR, 14, "logical_or/1", "(a?, b?) [number?]", "n"},
    {GREVY_OP_LOGICAL_NOT, 15, "logical_not/1", "(x)", ""},
    {GREVY_OP_IS_FINITE, 16, "is_finite/1", "(x)", ""},
    {GREVY_OP_NEGATE, 17, "negate/1", "(x)", ""},
    {GREVY_OP_ABSOLUTE, 18, "absolute/1", "(x)", ""},
    {GREVY_OP_SIGN, 19, "sign/1", "(x)", ""},
    {GREVY_OP_EXP, 20, "exp/1", "(x)", ""},
    {GREVY_OP_LOG, 21, "log/1", "(x)", ""},
    {GREVY_OP_LOG1P, 22, "log1p/1", "(x)", ""},
    {GREVY_OP_SQRT, 23, "sqrt/1", "(x)", ""},
    {GREVY_OP_RSQRT, 24, "rsqrt/1", "(x)", ""},
    {GREVY_OP_SQUARE, 25, "square/1", "(x)", ""},
    {GREVY_OP_RECIPROCAL, 26, "reciprocal/1", "(x)", ""},
    {GREVY_OP_SIN, 27, "sin/1", "(x)", ""},
    {GREVY_OP_COS, 28, "cos/1", "(x)", ""},
    {GREVY_OP_FLOOR, 29, "floor/1", "(x)", ""},
    {GREVY_OP_RELU, 30, "relu/1", "(x)", ""},
    {GREVY_OP_GELU, 31, "gelu/1", "(x)", ""},
    {GREVY_OP_TANH, 32, "tanh/1", "(x)", ""},
    {GREVY_OP_SIGMOID, 33, "sigmoid/1", "(x)", ""},
    {GREVY_OP_SOFTPLUS, 34, "softplus/1", "(x)", ""},
    {GREVY_OP_CLAMP, 35, "clamp/1", "(x) [low?, high?]", "nn"},
    {GREVY_OP_WHERE, 36, "where/1", "(condition, a?, b?) [number?]", "n"},
    {GREVY_OP_SUM, 37, "sum/1", "(x) [dims?, keep?]", "li"},
    {GREVY_OP_MEAN, 38, "mean/1", "(x) [dims?, keep?]", "li"},
    {GREVY_OP_VARIANCE, 39, "variance/1", "(x) [dims?, keep?, unbiased?]", "lii"},
    {GREVY_OP_LARGEST, 40, "largest/1", "(x) [dims?, keep?]", "li"},
    {GREVY_OP_SMALLEST, 41, "smallest/1", "(x) [dims?, keep?]", "li"},
    {GREVY_OP_ARGMAX, 42, "argmax/1", "(x) [dim, keep?]", "ii"},
    {GREVY_OP_NORM, 43, "norm/1", "(x) [p?, dims?, keep?]", "nli"},
    {GREVY_OP_LOGSUMEXP, 44, "logsumexp/1", "(x) [dims, keep?]", "li"},
    {GREVY_OP_SOFTMAX, 45, "softmax/1", "(x) [dim]", "i"},
    {GREVY_OP_LOG_SOFTMAX, 46, "log_softmax/1", "(x) [dim]", "i"},
    {GREVY_OP_CUMSUM, 47, "cumsum/1", "(x) [dim]", "i"},
    {GREVY_OP_MATMUL, 48, "matmul/1", "(a, b)", ""},
    {GREVY_OP_EINSUM, 49, "einsum/1", "(tensors...) [equation]", "t"},
    {GREVY_OP_LINEAR, 50, "linear/1", "(x, weight, bias?)", ""},
    {GREVY_OP_CONV1D, 51, "conv1d/1", "(x, weight, bias?) [stride?, padding?, dilation?, groups?]", "iiii"},
    {GREVY_OP_RESHAPE, 52, "reshape/1", "(x) [sizes]", "l"},
    {GREVY_OP_TRANSPOSE, 53, "transpose/1", "(x) [dim, other]", "ii"},
    {GREVY_OP_PERMUTE, 54, "permute/1", "(x) [dims]", "l"},
    {GREVY_OP_UNSQUEEZE, 55, "unsqueeze/1", "(x) [dim]", "i"},
    {GREVY_OP_SQUEEZE, 56, "squeeze/1", "(x) [dim]", "i"},
    {GREVY_OP_EXPAND, 57, "expand/1", "(x) [sizes]", "l"},
    {GREVY_OP_SELECT, 58, "select/1", "(x) [dim, index]", "ii"},
    {GREVY_OP_SLICE, 59, "slice/1", "(x) [dim, start?, end?, step?]", "iiii"},
    {GREVY_OP_UNFOLD, 60, "unfold/1", "(x) [dim, size, step]", "iii"},
    {GREVY_OP_FLIP, 61, "flip/1", "(x) [dims]", "l"},
    {GREVY_OP_CAT, 62, "cat/1", "(tensors...) [dim?]", "i"},
    {GREVY_OP_STACK, 63, "stack/1", "(tensors...) [dim?]", "i"},
    {GREVY_OP_INDEX_SELECT, 64, "index_select/1", "(x, index) [dim]", "i"},
    {GREVY_OP_GATHER, 65, "gather/1", "(x, index) [dim]", "i"},
    {GREVY_OP_CONTIGUOUS, 66, "contiguous/1", "(x)", ""},
    {GREVY_OP_CLONE, 67, "clone/1", "(x)", ""},
    {GREVY_OP_DETACH, 68, "detach/1", "(x)", ""},
    {GREVY_OP_TO, 69, "to/1", "(x, like?) [dtype?, device?]", "it"},
    {GREVY_OP_FULL, 70, "full/1", "(like?) [sizes, number, dtype?]", "lni"},
    {GREVY_OP_ARANGE, 71, "arange/1", "(like?) [start, end, step, dtype?]", "nnni"},
    {GREVY_OP_UNIFORM, 72, "uniform/1", "(like?) [sizes, generator, low?, high?, dtype?]", "lgnni"},
    {GREVY_OP_NORMAL, 73, "normal/1", "(like?) [sizes, generator, mean?, std?, dtype?]", "lgnni"},
    {GREVY_OP_BERNOULLI, 74, "bernoulli/1", "(like?) [sizes, generator, probability, dtype?]", "lgni"},
    {GREVY_OP_DROPOUT, 75, "dropout/1", "(x) [probability, generator]", "ng"},
};
// clang-format on

constexpr std::uint32_t unknown_kind = 7;

Attribute attribute_of(std::uint32_t kind) {
  switch (kind) {
    case GREVY_ATTRIBUTE_INTEGER:
      return integer(1);
    case GREVY_ATTRIBUTE_NUMBER:
      return number(1);
    case GREVY_ATTRIBUTE_INTEGERS:
      return list({1});
    case GREVY_ATTRIBUTE_TEXT:
      return text("cpu");
    case GREVY_ATTRIBUTE_GENERATOR:
      return generator(seeded(1));
    case GREVY_ATTRIBUTE_BOOLEAN:
      return boolean(true);
    default:
      return {{kind, 0, 1, 1, nullptr, 0}, {}, {}};
  }
}

// The kinds of attributes that a letter stands for.
bool stands_for(char letter, std::uint32_t kind) {
  constexpr std::pair<char, std::uint32_t> all[] = {
      {'i', GREVY_ATTRIBUTE_INTEGER}, {'i', GREVY_ATTRIBUTE_BOOLEAN},
      {'n', GREVY_ATTRIBUTE_INTEGER}, {'n', GREVY_ATTRIBUTE_BOOLEAN},
      {'n', GREVY_ATTRIBUTE_NUMBER},  {'l', GREVY_ATTRIBUTE_INTEGERS},
      {'t', GREVY_ATTRIBUTE_TEXT},    {'g', GREVY_ATTRIBUTE_GENERATOR}};
  for (const auto& [known, meant] : all)
    if (known == letter && meant == kind) return true;
  return false;
}

std::uint32_t kind_for(char letter) {
  std::uint32_t kind = 1;
  while (!stands_for(letter, kind)) ++kind;
  return kind;
}

// As many tensors as an operation takes.
Tensors tensors_for(const std::string& takes) {
  const std::string inputs = takes.substr(0, takes.find(')'));
  const auto commas = std::count(inputs.begin(), inputs.end(), ',');
  return Tensors(static_cast<std::size_t>(commas) + 1, at::ones({1}));
}

// With the attribute at `place` of one kind, those before as they must be.
Caught called_with(const Operation& operation, std::size_t place, std::uint32_t kind) {
  std::vector<Attribute> attributes;
  for (std::size_t i = 0; i < place; ++i)
    attributes.push_back(attribute_of(kind_for(operation.kinds[i])));
  attributes.push_back(attribute_of(kind));
  return catch_error(
      [&] { run(operation.number, tensors_for(operation.takes), std::move(attributes)); });
}

// A header without its comments.
std::string header_code(const std::string& name) {
  const std::string text =
      file_bytes(std::filesystem::path(GREVY_TEST_DATA) / "../../sdk/include/grevy" / name);
  return std::regex_replace(text, std::regex(R"(/\*[^*]*\*+([^/*][^*]*\*+)*/)"), "");
}

// Calls body(match) for every match of a pattern.
template <class Body>
int for_matches(const std::string& text, const std::string& pattern, Body&& body) {
  const std::regex regex(pattern);
  int count = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at, ++count)
    body(*at);
  return count;
}

}  // namespace

TEST_CASE("operations have the names, the numbers and the arguments that they are frozen with") {
  CHECK(std::size(operations) == 76);
  CHECK(ops().op_count == 76);
  std::uint32_t place = 0;
  for (const Operation& operation : operations) {
    CAPTURE(operation.name);
    CHECK(operation.number == place++);
    CHECK(operation.named == operation.number);
    CHECK(ops().find(grevy::detail::text_of(operation.name)) == operation.number);
    grevy_op_info info{};
    info.struct_size = sizeof(info);
    checked([&](auto* errors) { return ops().describe(operation.number, &info, errors); });
    CHECK(grevy::detail::view(info.name) == operation.name);
    CHECK(grevy::detail::view(info.takes) == operation.takes);
  }
}

TEST_CASE("operations take attributes of the kinds that they are frozen with, and of no other") {
  for (const Operation& operation : operations)
    for (std::size_t i = 0; operation.kinds[i] != '\0'; ++i)
      for (std::uint32_t kind = 1; kind <= unknown_kind; ++kind) {
        CAPTURE(operation.name);
        CAPTURE(i);
        CAPTURE(kind);
        const Caught error = called_with(operation, i, kind);
        CHECK(error.says("another kind of attribute") == !stands_for(operation.kinds[i], kind));
      }
}

TEST_CASE("every struct, member and number of the extensions' headers is asserted") {
  const std::string asserted =
      file_bytes(std::filesystem::path(GREVY_TEST_DATA) / "../plugins/extensions_layout.h") +
      file_bytes(std::filesystem::path(GREVY_TEST_DATA) / "../host/ops_layout_test.cpp");
  int structs = 0, numbers = 0;
  for (const char* header : {"ops.h", "kernel.h", "options.h"}) {
    const std::string code = header_code(header);
    structs += for_matches(code, R"(struct (grevy_\w+) \{([^}]*)\})", [&](const auto& found) {
      const std::string type = found[1];
      CHECK_MESSAGE(asserted.find("GREVY_SIZE(" + type + ", ") != std::string::npos, type);
      // A slot's name stands in (*name), another member's before the semicolon.
      for_matches(found[2], R"(\(\*(\w+)\)|(\w+);)", [&](const auto& member) {
        const std::string name = member[1].matched ? member[1] : member[2];
        CHECK_MESSAGE(asserted.find("GREVY_AT(" + type + ", " + name + ", ") != std::string::npos,
                      type << "." << name);
      });
    });
    numbers += for_matches(code, R"((GREVY_\w+) =)", [&](const auto& found) {
      const std::string name = found[1];
      const bool compared = asserted.find("GREVY_NUMBER(" + name + ", ") != std::string::npos ||
                            asserted.find("{" + name + ", ") != std::string::npos;
      CHECK_MESSAGE(compared, name);
    });
  }
  CHECK(structs == 12);
  CHECK(numbers == 76 + 32);  // operations, others
}

#include "files/pickle.hpp"

#include "files/npy_header.hpp"
#include "files/pickle_arena.hpp"
#include "files/pickle_globals.hpp"
#include "files/pickle_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

namespace grevy::host {

namespace {

// Values and bytes of text in the result, for each byte of the pickle, and how few it may have in
// any case. Only what is repeated through the memo takes more than one.
constexpr std::uint64_t kCopyFactor = 16;
constexpr std::uint64_t kCopyMinimum = 4096;
constexpr unsigned char kProto = 0x80;

// Says how to help oneself where that is known.
[[noreturn]] void refuse_global(std::string_view module, std::string_view name) {
  const std::string hint =
      module.substr(0, 6) == "cebra."
          ? " (a whole CEBRA object; save it with backend=\"sklearn\" instead of \"torch\")"
          : "";
  pickle_fail("names \"" + printable(std::string(module) + "." + std::string(name)) +
                  "\", which is no known class or function" + hint +
                  "; only tensors, containers and plain values are read, and no code is run",
              ErrorCode::incompatible);
}

// The pickle machine: a stack of objects, marks in it, and a memo of numbered objects.
class Machine {
 public:
  explicit Machine(std::string_view bytes) : reader_(bytes) {}

  std::size_t position() const { return reader_.position(); }
  const PickleArena& arena() const { return arena_; }

  PickleId run() {
    check_protocol();
    for (unsigned char code = next(); code != '.'; code = next()) (this->*operation(code))();
    if (stack_.size() != 1 || !marks_.empty()) {
      pickle_fail("is damaged: it ends with " + std::to_string(stack_.size()) +
                  " objects; must be 1");
    }
    if (reader_.left() != 0) {
      pickle_fail("is damaged: " + std::to_string(reader_.left()) + " bytes follow its end");
    }
    return stack_.back();
  }

 private:
  using Operation = void (Machine::*)();
  struct Row {
    unsigned char code;
    Operation run;
  };

  unsigned char next() { return static_cast<unsigned char>(reader_.little_endian(1)); }

  void check_protocol() {
    const bool named = next() == kProto;
    const unsigned protocol = named ? next() : 0;
    if (protocol >= 2 && protocol <= 5) return;
    pickle_fail("is not a pickle of protocol 2 to 5" +
                (named ? ": its protocol is " + std::to_string(protocol) : std::string()));
  }

  static Operation operation(unsigned char code);

  void push(PickleId id) { stack_.push_back(id); }
  void push_value(PickleValue value) { push(arena_.add_value(std::move(value))); }
  void push_node(PickleNode node) { push(arena_.add(std::move(node))); }

  std::size_t height() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleId top() const {
    if (height() == 0) pickle_fail("is damaged: an operation finds no object on the stack");
    return stack_.back();
  }
  PickleId pop() {
    const PickleId id = top();
    stack_.pop_back();
    return id;
  }
  std::vector<PickleId> pop_many(std::size_t count) {
    if (height() < count) pickle_fail("is damaged: an operation finds too few objects");
    const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<PickleId> ids(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return ids;
  }
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) pickle_fail("is damaged: an operation finds no mark");
    std::vector<PickleId> ids = pop_many(height());
    marks_.pop_back();
    return ids;
  }

  void mark() { marks_.push_back(stack_.size()); }

  // Only a hint where the data of a frame end.
  void frame() {
    const std::uint64_t length = reader_.little_endian(8);
    if (length > reader_.left()) pickle_fail("is truncated: a frame reaches beyond the end");
  }

  void none() { push_value({}); }
  void yes() { push_value({true}); }
  void no() { push_value({false}); }

  template <std::size_t count>
  void unsigned_integer() {
    push_value({static_cast<std::int64_t>(reader_.little_endian(count))});
  }
  void signed_integer() {
    const auto bits = static_cast<std::uint32_t>(reader_.little_endian(4));
    push_value({static_cast<std::int64_t>(static_cast<std::int32_t>(bits))});
  }
  void long_integer() {
    const unsigned count = next();
    if (count > 8) {
      pickle_fail("an integer has " + std::to_string(count) + " bytes; at most 8 are allowed");
    }
    std::uint64_t bits = reader_.little_endian(count);
    const unsigned unused = 64 - 8 * count;
    const bool negative = count != 0 && (bits >> (8 * count - 1) & 1) != 0;
    if (negative && unused != 0) bits |= ~std::uint64_t{0} << (64 - unused);
    push_value({static_cast<std::int64_t>(bits)});
  }
  void floating() {
    const std::uint64_t bits = reader_.big_endian(8);
    double number = 0;
    std::memcpy(&number, &bits, sizeof number);
    push_value({number});
  }

  template <std::size_t count>
  void text() {
    push_value({std::string(reader_.text(reader_.little_endian(count)))});
  }
  template <std::size_t count>
  void bytes() {
    push_value({PickleBytes{std::string(reader_.take(reader_.little_endian(count)))}});
  }

  void empty_list() { push_node(ListNode{}); }
  void empty_dict() { push_node(DictNode{}); }
  template <std::size_t count>
  void tuple() {
    push_node(TupleNode{pop_many(count)});
  }
  void marked_tuple() { push_node(TupleNode{pop_to_mark()}); }

  void append_all(const std::vector<PickleId>& ids) {
    auto* list = arena_.get<ListNode>(top());
    if (list == nullptr) pickle_fail("is damaged: appends to something that is no list");
    list->items.insert(list->items.end(), ids.begin(), ids.end());
  }
  void append() { append_all(pop_many(1)); }
  void appends() { append_all(pop_to_mark()); }

  void set_all(const std::vector<PickleId>& ids) {
    auto* dict = arena_.get<DictNode>(top());
    if (dict == nullptr) pickle_fail("is damaged: sets a key of something that is no dict");
    if (ids.size() % 2 != 0) pickle_fail("is damaged: a key without a value");
    for (std::size_t i = 0; i < ids.size(); i += 2) dict->items.emplace_back(ids[i], ids[i + 1]);
  }
  void set_item() { set_all(pop_many(2)); }
  void set_items() { set_all(pop_to_mark()); }

  template <std::size_t count>
  void put() {
    memo_[static_cast<std::uint32_t>(reader_.little_endian(count))] = top();
  }
  void memoize() { memo_[static_cast<std::uint32_t>(memo_.size())] = top(); }
  template <std::size_t count>
  void get() {
    const auto found = memo_.find(static_cast<std::uint32_t>(reader_.little_endian(count)));
    if (found == memo_.end()) pickle_fail("is damaged: a memo entry is used that is not there");
    push(found->second);
  }

  void push_global(std::string_view module, std::string_view name) {
    const PickleGlobal* global = find_global(module, name);
    if (global == nullptr) refuse_global(module, name);
    push_node(GlobalNode{global});
  }
  void global() {
    const std::string_view module = reader_.line();
    push_global(module, reader_.line());
  }
  void stack_global() {
    const PickleId second = pop();
    const PickleId first = pop();
    const auto* module = arena_.value<std::string>(first);
    const auto* name = arena_.value<std::string>(second);
    if (module == nullptr || name == nullptr) pickle_fail("is damaged: a class without a name");
    push_global(*module, *name);
  }

  void call() {
    const PickleId args = pop();
    const PickleId callee = pop();
    push(call_global(arena_, callee, args));
  }
  void build() {
    const PickleId state = pop();
    set_state(arena_, top(), state);
  }
  void persistent() { push(load_storage(arena_, pop())); }

  PickleReader reader_;
  PickleArena arena_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, PickleId> memo_;
};

Machine::Operation Machine::operation(unsigned char code) {
  static constexpr Row kRows[] = {
      {'(', &Machine::mark},
      {0x95, &Machine::frame},
      {'N', &Machine::none},
      {0x88, &Machine::yes},
      {0x89, &Machine::no},
      {'J', &Machine::signed_integer},
      {'K', &Machine::unsigned_integer<1>},
      {'M', &Machine::unsigned_integer<2>},
      {0x8A, &Machine::long_integer},
      {'G', &Machine::floating},
      {'X', &Machine::text<4>},
      {0x8C, &Machine::text<1>},
      {0x8D, &Machine::text<8>},
      {'B', &Machine::bytes<4>},
      {'C', &Machine::bytes<1>},
      {0x8E, &Machine::bytes<8>},
      {']', &Machine::empty_list},
      {'a', &Machine::append},
      {'e', &Machine::appends},
      {'}', &Machine::empty_dict},
      {'s', &Machine::set_item},
      {'u', &Machine::set_items},
      {')', &Machine::tuple<0>},
      {0x85, &Machine::tuple<1>},
      {0x86, &Machine::tuple<2>},
      {0x87, &Machine::tuple<3>},
      {'t', &Machine::marked_tuple},
      {'q', &Machine::put<1>},
      {'r', &Machine::put<4>},
      {0x94, &Machine::memoize},
      {'h', &Machine::get<1>},
      {'j', &Machine::get<4>},
      {'c', &Machine::global},
      {0x93, &Machine::stack_global},
      {'R', &Machine::call},
      {0x81, &Machine::call},
      {'b', &Machine::build},
      {'Q', &Machine::persistent},
  };
  static const auto kTable = [] {
    std::array<Operation, 256> table{};
    for (const Row& row : kRows) table[row.code] = row.run;
    return table;
  }();
  if (kTable[code] != nullptr) return kTable[code];
  pickle_fail("uses operation " + std::to_string(code) + ", which checkpoints do not need",
              ErrorCode::incompatible);
}

void check_length(std::string_view bytes) {
  if (bytes.size() <= pickle_bytes_limit) return;
  pickle_fail("has " + std::to_string(bytes.size()) + " bytes; at most " +
              std::to_string(pickle_bytes_limit) + " are allowed");
}

}  // namespace

PickleValue read_pickle(std::string_view bytes, const std::string& where) {
  Machine machine(bytes);
  try {
    check_length(bytes);
    const PickleId root = machine.run();
    return machine.arena().tree(root, std::max(kCopyFactor * bytes.size(), kCopyMinimum));
  } catch (const Error& error) {
    throw Error(error.code(),
                where + ", byte " + std::to_string(machine.position()) + ": " + error.what());
  }
}

}  // namespace grevy::host

#include "files/pickle_arena.hpp"

#include "files/pickle_globals.hpp"

#include <algorithm>

namespace grevy::host {

namespace {

constexpr std::uint64_t kValueLimit = 20'000'000;
constexpr int kDepthLimit = 100;

[[noreturn]] void fail_many(std::uint64_t limit) {
  pickle_fail("holds more than " + std::to_string(limit) + " values");
}

// Copies depth first. A cycle ends at the depth limit; copies of shared objects are counted.
class Tree {
 public:
  Tree(const PickleArena& arena, std::uint64_t limit)
      : arena_(arena), value_limit_(std::min(limit, kValueLimit)), text_limit_(limit) {}

  PickleValue copy(PickleId id) {
    if (++depth_ > kDepthLimit) {
      pickle_fail("is nested deeper than " + std::to_string(kDepthLimit) +
                  ", or an object holds itself");
    }
    PickleValue value = std::visit(*this, arena_.node(id));
    --depth_;
    return value;
  }

  PickleValue operator()(const PickleValue& leaf) {
    if (const auto* text = std::get_if<std::string>(&leaf.value)) spend_text(text->size());
    if (const auto* raw = std::get_if<PickleBytes>(&leaf.value)) spend_text(raw->bytes.size());
    return leaf;
  }

  PickleValue operator()(const ListNode& node) { return {PickleList{copy_all(node.items)}}; }
  PickleValue operator()(const TupleNode& node) { return {PickleTuple{copy_all(node.items)}}; }

  PickleValue operator()(const DictNode& node) {
    spend_values(2 * node.items.size());
    PickleDict dict;
    dict.items.reserve(node.items.size());
    for (const auto& [key, value] : node.items) {
      PickleValue name = copy(key);
      dict.items.push_back({std::move(name), copy(value)});
    }
    return {std::move(dict)};
  }

  PickleValue operator()(const StorageNode&) {
    pickle_fail("holds a storage outside a tensor; only tensors are read");
  }

  PickleValue operator()(const GlobalNode& node) {
    const std::string name = global_name(*node.global);
    if (!is_constant(*node.global)) {
      pickle_fail("holds the class or function \"" + name + "\" itself; only its objects are read");
    }
    return {std::make_shared<const PickleRecord>(PickleRecord{name, {}, {}})};
  }

  PickleValue operator()(const RecordNode& node) {
    PickleRecord record;
    record.global = global_name(*node.global);
    record.args = copy_all(arena_.get<TupleNode>(node.args)->items);
    record.state = copy(node.state);
    return {std::make_shared<const PickleRecord>(std::move(record))};
  }

 private:
  std::vector<PickleValue> copy_all(const std::vector<PickleId>& ids) {
    spend_values(ids.size());
    std::vector<PickleValue> values;
    values.reserve(ids.size());
    for (const PickleId id : ids) values.push_back(copy(id));
    return values;
  }

  void spend_values(std::uint64_t count) {
    values_ += count;
    if (values_ > value_limit_) fail_many(value_limit_);
  }

  void spend_text(std::uint64_t bytes) {
    text_ += bytes;
    if (text_ > text_limit_) {
      pickle_fail("repeats its texts too often: they take more than " +
                  std::to_string(text_limit_) + " bytes");
    }
  }

  const PickleArena& arena_;
  std::uint64_t value_limit_;
  std::uint64_t text_limit_;
  std::uint64_t values_ = 0;
  std::uint64_t text_ = 0;
  int depth_ = 0;
};

}  // namespace

PickleId PickleArena::add(PickleNode node) {
  if (nodes_.size() >= kValueLimit) fail_many(kValueLimit);
  nodes_.push_back(std::move(node));
  return static_cast<PickleId>(nodes_.size() - 1);
}

PickleValue PickleArena::tree(PickleId root, std::uint64_t limit) const {
  return Tree(*this, limit).copy(root);
}

}  // namespace grevy::host

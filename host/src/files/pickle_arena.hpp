// The objects of a pickle while it is being read: they may be shared and may refer to themselves.
#ifndef GREVY_HOST_PICKLE_ARENA_HPP
#define GREVY_HOST_PICKLE_ARENA_HPP

#include "files/pickle_value.hpp"

#include <grevy/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace grevy::host {

using PickleId = std::uint32_t;
struct PickleGlobal;

struct ListNode {
  std::vector<PickleId> items;
};
struct TupleNode {
  std::vector<PickleId> items;
};
struct DictNode {
  std::vector<std::pair<PickleId, PickleId>> items;
};
struct StorageNode {
  std::string key;
  const char* dtype;
  std::int64_t elements;
};
struct GlobalNode {
  const PickleGlobal* global;
};
struct RecordNode {
  const PickleGlobal* global;
  PickleId args;   // a TupleNode
  PickleId state;  // a dict, a tuple or None
};

// A PickleValue here is one without children: None, a number, text, bytes or a tensor.
using PickleNode =
    std::variant<PickleValue, ListNode, TupleNode, DictNode, StorageNode, GlobalNode, RecordNode>;

// Owns all objects, so that cycles cannot leak. Ids stay valid; references only until the next add.
class PickleArena {
 public:
  PickleId add(PickleNode node);
  PickleId add_value(PickleValue value) { return add(PickleNode(std::move(value))); }

  template <typename Node>
  Node* get(PickleId id) {
    return std::get_if<Node>(&nodes_[id]);
  }
  template <typename Node>
  const Node* get(PickleId id) const {
    return std::get_if<Node>(&nodes_[id]);
  }
  // The same for one alternative of a PickleValue.
  template <typename Value>
  const Value* value(PickleId id) const {
    const auto* leaf = get<PickleValue>(id);
    return leaf == nullptr ? nullptr : std::get_if<Value>(&leaf->value);
  }
  bool is_none(PickleId id) const { return value<std::monostate>(id) != nullptr; }
  const PickleNode& node(PickleId id) const { return nodes_[id]; }

  // Copies everything that `root` refers to into a tree with at most `limit` values, and as many
  // bytes of text.
  PickleValue tree(PickleId root, std::uint64_t limit) const;

 private:
  std::vector<PickleNode> nodes_;
};

// Everything about reading pickles throws through this; read_pickle() adds the place.
[[noreturn]] inline void pickle_fail(const std::string& what,
                                     ErrorCode code = ErrorCode::invalid_value) {
  throw Error(code, what);
}

}  // namespace grevy::host

#endif

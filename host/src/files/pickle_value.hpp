// What a pickle of a checkpoint holds, as plain values.
#ifndef GREVY_HOST_PICKLE_VALUE_HPP
#define GREVY_HOST_PICKLE_VALUE_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace grevy::host {

struct PickleValue;
struct PickleItem;
struct PickleRecord;

struct PickleBytes {
  std::string bytes;
};
struct PickleList {
  std::vector<PickleValue> items;
};
struct PickleTuple {
  std::vector<PickleValue> items;
};

// In the file's order; a key may be of any type and may come twice.
struct PickleDict {
  std::vector<PickleItem> items;

  // The value of a text key, of the last one where it is repeated (as in Python); null where it is
  // missing.
  const PickleValue* find(std::string_view key) const;
};

// A view of a storage, as the file claims it: nothing is checked but the number of dimensions (at
// most 8). Counts are elements, not bytes.
struct TensorReference {
  std::string storage_key;
  std::string dtype;  // as StoredTensor spells it
  std::int64_t storage_elements = 0;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> stride;
  bool requires_grad = false;
};

using TensorPointer = std::shared_ptr<const TensorReference>;
using RecordPointer = std::shared_ptr<const PickleRecord>;

// The first alternative is None. Text is UTF-8. Pointers are never null.
struct PickleValue {
  std::variant<std::monostate, bool, std::int64_t, double, std::string, PickleBytes, PickleList,
               PickleTuple, PickleDict, TensorPointer, RecordPointer>
      value;
};

struct PickleItem {
  PickleValue key;
  PickleValue value;
};

// An object of a known Python class of which only the parts are kept: "torch.device",
// "numpy.dtype", "torch.float32" (no args), "cebra.data.datatypes.Offset" (state: a dict of left
// and right).
struct PickleRecord {
  std::string global;
  std::vector<PickleValue> args;
  PickleValue state;  // None where the file sets none
};

// "a list", "an integer", ...: for messages.
const char* type_text(const PickleValue& value);

}  // namespace grevy::host

#endif

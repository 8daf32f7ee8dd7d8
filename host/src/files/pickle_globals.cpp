#include "files/pickle_globals.hpp"

#include "files/numpy_scalar.hpp"

namespace grevy::host {

// A row of the list. A storage class has a dtype; a function or class has a call; a constant has
// neither.
struct PickleGlobal {
  const char* module;
  const char* name;
  const char* dtype;
  PickleId (*call)(PickleArena&, const PickleGlobal&, PickleId args);
};

namespace {

using Ids = std::vector<PickleId>;

constexpr std::size_t kRankLimit = 8;
constexpr std::size_t kKeyLimit = 256;
constexpr std::size_t kScalarTextLimit = 64;

[[noreturn]] void fail_args(const PickleGlobal& global, const std::string& wanted) {
  pickle_fail(global_name(global) + ": its arguments are not " + wanted);
}

const Ids& items_of(const PickleArena& arena, PickleId tuple) {
  return arena.get<TupleNode>(tuple)->items;
}

std::int64_t integer(const PickleArena& arena, PickleId id, const char* what) {
  const auto* value = arena.value<std::int64_t>(id);
  if (value == nullptr) pickle_fail(std::string(what) + " is not an integer");
  return *value;
}

std::vector<std::int64_t> integers(const PickleArena& arena, PickleId id, const char* what) {
  const auto* tuple = arena.get<TupleNode>(id);
  if (tuple == nullptr) pickle_fail(std::string(what) + " is not a tuple");
  if (tuple->items.size() > kRankLimit) {
    pickle_fail(std::string(what) + " has " + std::to_string(tuple->items.size()) +
                " dimensions; at most " + std::to_string(kRankLimit) + " are allowed");
  }
  std::vector<std::int64_t> numbers;
  for (const PickleId item : tuple->items) numbers.push_back(integer(arena, item, what));
  return numbers;
}

bool boolean(const PickleArena& arena, PickleId id, const char* what) {
  const auto* value = arena.value<bool>(id);
  if (value == nullptr) pickle_fail(std::string(what) + " is not a bool");
  return *value;
}

// Bits that say "conjugate" or "negate" when reading; written only where one is set.
bool has_no_metadata(const PickleArena& arena, const Ids& args) {
  if (args.size() == 6 || arena.is_none(args[6])) return true;
  const auto* dict = arena.get<DictNode>(args[6]);
  return dict != nullptr && dict->items.empty();
}

PickleId add_tensor(PickleArena& arena, TensorReference tensor) {
  return arena.add_value({std::make_shared<const TensorReference>(std::move(tensor))});
}

// (storage, offset, shape, stride, requires_grad, hooks[, metadata])
PickleId rebuild_tensor(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  const bool fits = args.size() == 6 || args.size() == 7;
  const auto* storage = fits ? arena.get<StorageNode>(args[0]) : nullptr;
  if (storage == nullptr || !has_no_metadata(arena, args)) {
    fail_args(global, "a storage, an offset, a shape, strides, a bool and hooks");
  }
  TensorReference tensor;
  tensor.storage_key = storage->key;
  tensor.dtype = storage->dtype;
  tensor.storage_elements = storage->elements;
  tensor.offset = integer(arena, args[1], "a tensor's offset");
  tensor.shape = integers(arena, args[2], "a tensor's shape");
  tensor.stride = integers(arena, args[3], "a tensor's stride");
  tensor.requires_grad = boolean(arena, args[4], "a tensor's requires_grad");
  return add_tensor(arena, std::move(tensor));
}

// (tensor, requires_grad, hooks)
PickleId rebuild_parameter(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  const auto* data = args.size() == 3 ? arena.value<TensorPointer>(args[0]) : nullptr;
  if (data == nullptr) fail_args(global, "a tensor, a bool and hooks");
  TensorReference tensor = **data;
  tensor.requires_grad = boolean(arena, args[1], "a parameter's requires_grad");
  return add_tensor(arena, std::move(tensor));
}

PickleId ordered_dict(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  if (!items_of(arena, tuple).empty()) fail_args(global, "empty");
  return arena.add(DictNode{});
}

// torch.Size((2, 3)): the tuple itself.
PickleId size(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  if (args.size() != 1 || arena.get<TupleNode>(args[0]) == nullptr) fail_args(global, "one tuple");
  return args[0];
}

// A version is a text with its own order.
PickleId version(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  if (args.size() != 1 || arena.value<std::string>(args[0]) == nullptr) {
    fail_args(global, "one text");
  }
  return args[0];
}

PickleId record(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const PickleId none = arena.add_value({});
  return arena.add(RecordNode{&global, tuple, none});
}

// The characters U+0000 to U+00FF of UTF-8 text, a byte each.
std::string latin1(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
    } else if ((lead == 0xC2 || lead == 0xC3) && i + 1 < text.size()) {
      const auto next = static_cast<unsigned char>(text[++i]);
      bytes += static_cast<char>((lead & 0x03) << 6 | (next & 0x3F));
    } else {
      pickle_fail("_codecs.encode: a character is not in latin1");
    }
  }
  return bytes;
}

// Protocol 2 has no bytes: they come as (text, "latin1"). Only numbers of NumPy need them.
PickleId encode(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  const auto* text = args.size() == 2 ? arena.value<std::string>(args[0]) : nullptr;
  const auto* codec = args.size() == 2 ? arena.value<std::string>(args[1]) : nullptr;
  if (text == nullptr || codec == nullptr || *codec != "latin1") {
    fail_args(global, "a text and \"latin1\"");
  }
  if (text->size() > kScalarTextLimit) {
    pickle_fail("_codecs.encode: found " + std::to_string(text->size()) + " bytes; at most " +
                std::to_string(kScalarTextLimit) + " are allowed");
  }
  return arena.add_value({PickleBytes{latin1(*text)}});
}

// The "<f8" of a numpy.dtype with its state (version, byte order, ...); empty for other objects.
std::string dtype_code(const PickleArena& arena, PickleId id) {
  const auto* dtype = arena.get<RecordNode>(id);
  if (dtype == nullptr || global_name(*dtype->global) != "numpy.dtype") return "";
  const Ids& args = items_of(arena, dtype->args);
  const auto* state = arena.get<TupleNode>(dtype->state);
  if (args.empty() || state == nullptr || state->items.size() < 2) return "";
  const auto* code = arena.value<std::string>(args[0]);
  const auto* order = arena.value<std::string>(state->items[1]);
  return code == nullptr || order == nullptr ? "" : *order + *code;
}

PickleId scalar(PickleArena& arena, const PickleGlobal& global, PickleId tuple) {
  const Ids& args = items_of(arena, tuple);
  const auto* raw = args.size() == 2 ? arena.value<PickleBytes>(args[1]) : nullptr;
  const std::string code = args.size() == 2 ? dtype_code(arena, args[0]) : "";
  if (raw == nullptr || code.empty()) fail_args(global, "a dtype and bytes");
  return arena.add_value(numpy_scalar(code, raw->bytes));
}

constexpr PickleGlobal kGlobals[] = {
    {"torch", "FloatStorage", "F32", nullptr},
    {"torch", "DoubleStorage", "F64", nullptr},
    {"torch", "HalfStorage", "F16", nullptr},
    {"torch", "BFloat16Storage", "BF16", nullptr},
    {"torch", "LongStorage", "I64", nullptr},
    {"torch", "IntStorage", "I32", nullptr},
    {"torch", "ShortStorage", "I16", nullptr},
    {"torch", "CharStorage", "I8", nullptr},
    {"torch", "ByteStorage", "U8", nullptr},
    {"torch", "BoolStorage", "BOOL", nullptr},
    {"torch", "float32", nullptr, nullptr},
    {"torch", "float64", nullptr, nullptr},
    {"torch", "float16", nullptr, nullptr},
    {"torch", "bfloat16", nullptr, nullptr},
    {"torch", "int64", nullptr, nullptr},
    {"torch", "int32", nullptr, nullptr},
    {"torch", "int16", nullptr, nullptr},
    {"torch", "int8", nullptr, nullptr},
    {"torch", "uint8", nullptr, nullptr},
    {"torch", "bool", nullptr, nullptr},
    {"torch._utils", "_rebuild_tensor_v2", nullptr, rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", nullptr, rebuild_parameter},
    {"torch", "Size", nullptr, size},
    {"torch", "device", nullptr, record},
    {"torch.torch_version", "TorchVersion", nullptr, version},
    {"collections", "OrderedDict", nullptr, ordered_dict},
    {"_codecs", "encode", nullptr, encode},
    {"numpy", "dtype", nullptr, record},
    {"numpy.core.multiarray", "scalar", nullptr, scalar},
    {"numpy._core.multiarray", "scalar", nullptr, scalar},
    {"cebra.data.datatypes", "Offset", nullptr, record},
};

// Objects with __slots__ have the state (None, {name: value}); the dict is what matters.
PickleId without_slots(const PickleArena& arena, PickleId state) {
  const auto* pair = arena.get<TupleNode>(state);
  if (pair == nullptr || pair->items.size() != 2 || !arena.is_none(pair->items[0])) return state;
  return pair->items[1];
}

}  // namespace

const PickleGlobal* find_global(std::string_view module, std::string_view name) {
  for (const PickleGlobal& global : kGlobals) {
    if (module == global.module && name == global.name) return &global;
  }
  return nullptr;
}

std::string global_name(const PickleGlobal& global) {
  return std::string(global.module) + "." + global.name;
}

bool is_constant(const PickleGlobal& global) {
  return global.dtype == nullptr && global.call == nullptr;
}

PickleId call_global(PickleArena& arena, PickleId callee, PickleId args) {
  const auto* node = arena.get<GlobalNode>(callee);
  if (node == nullptr) pickle_fail("calls something that is no class or function");
  const PickleGlobal& global = *node->global;
  if (global.call == nullptr) pickle_fail(global_name(global) + ": must not be called");
  if (arena.get<TupleNode>(args) == nullptr) fail_args(global, "a tuple");
  return global.call(arena, global, args);
}

void set_state(PickleArena& arena, PickleId object, PickleId state) {
  if (arena.get<DictNode>(object) != nullptr) return;
  auto* target = arena.get<RecordNode>(object);
  if (target == nullptr) pickle_fail("sets the state of something that has none");
  target->state = without_slots(arena, state);
}

PickleId load_storage(PickleArena& arena, PickleId identity) {
  const auto* tuple = arena.get<TupleNode>(identity);
  const bool fits = tuple != nullptr && tuple->items.size() == 5;
  const auto* kind = fits ? arena.value<std::string>(tuple->items[0]) : nullptr;
  const auto* storage = fits ? arena.get<GlobalNode>(tuple->items[1]) : nullptr;
  const auto* key = fits ? arena.value<std::string>(tuple->items[2]) : nullptr;
  const bool is_storage = kind != nullptr && *kind == "storage" && storage != nullptr &&
                          storage->global->dtype != nullptr && key != nullptr;
  if (!is_storage) {
    pickle_fail("a persistent id is not (\"storage\", class, key, location, number of elements)");
  }
  if (key->size() > kKeyLimit) {
    pickle_fail("a storage's key has " + std::to_string(key->size()) + " bytes; at most " +
                std::to_string(kKeyLimit) + " are allowed");
  }
  const std::int64_t elements = integer(arena, tuple->items[4], "a storage's number of elements");
  return arena.add(StorageNode{*key, storage->global->dtype, elements});
}

}  // namespace grevy::host

#!/usr/bin/env python3
"""Writes the files of this folder: what torch.save writes for checkpoints of CEBRA, byte for byte in
data.pkl, without PyTorch, NumPy and CEBRA. Small classes of our own stand under their names.

    python3 make.py [folder]
"""
import collections
import io
import os
import pathlib
import pickle
import struct
import sys
import types
import zipfile


def stand_in(module, name, thing):
    """Registers `thing` so that a pickle names it module.name."""
    parts = module.split(".")
    for i in range(len(parts)):
        path = ".".join(parts[: i + 1])
        sys.modules.setdefault(path, types.ModuleType(path))
    thing.__module__, thing.__name__, thing.__qualname__ = module, name, name
    setattr(sys.modules[module], name, thing)
    return thing


def unused(*_):
    raise AssertionError("only named, never called")


def function(module, name):
    return stand_in(module, name, types.FunctionType(unused.__code__, globals(), name))


def empty_class(module, name, base=object):
    return stand_in(module, name, type(name, (base,), {}))


FORMATS = {"Float": "f", "Double": "d", "Half": "e", "Long": "q", "Int": "i", "Byte": "B"}
STORAGES = {name: empty_class("torch", name + "Storage") for name in FORMATS}
rebuild_tensor = function("torch._utils", "_rebuild_tensor_v2")
rebuild_parameter = function("torch._utils", "_rebuild_parameter")
multiarray_scalar = function("numpy.core.multiarray", "scalar")
Version = empty_class("torch.torch_version", "TorchVersion", str)


class Offset:
    __slots__ = ["left", "right"]

    def __init__(self, left, right):
        self.left, self.right = left, right


stand_in("cebra.data.datatypes", "Offset", Offset)


class Device:
    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return Device, self.parts


stand_in("torch", "device", Device)


class DType:
    """numpy.dtype: code, byte order."""

    def __init__(self, code, order="<"):
        self.code, self.order = code, order

    def __reduce__(self):
        return DType, (self.code, False, True), (3, self.order, None, None, None, -1, -1, 0)


stand_in("numpy", "dtype", DType)


class Scalar:
    """A number of NumPy."""

    def __init__(self, dtype, form, value):
        self.dtype, self.bytes = dtype, struct.pack("<" + form, value)

    def __reduce__(self):
        return multiarray_scalar, (self.dtype, self.bytes)


class Storage:
    def __init__(self, kind, values):
        self.kind, self.values = kind, list(values)

    def bytes(self):
        return struct.pack(f"<{len(self.values)}{FORMATS[self.kind]}", *self.values)


def contiguous(shape):
    stride, step = [], 1
    for length in reversed(shape):
        stride.insert(0, step)
        step *= max(length, 1)
    return tuple(stride)


class Tensor:
    def __init__(self, storage, shape, offset=0, stride=None):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        self.stride = contiguous(shape) if stride is None else stride

    def __reduce_ex__(self, protocol):
        hooks = collections.OrderedDict()
        # New tuples each time: PyTorch shares none between tensors.
        view = (self.storage, self.offset, tuple([*self.shape]), tuple([*self.stride]))
        return rebuild_tensor, view + (False, hooks)


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce_ex__(self, protocol):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def __init__(self, stream):
        super().__init__(stream, protocol=2)
        self.keys, self.storages = {}, []

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        if id(thing) not in self.keys:
            self.keys[id(thing)] = str(len(self.keys))
            self.storages.append(thing)
        kind = STORAGES[thing.kind]
        return ("storage", kind, self.keys[id(thing)], "cpu", len(thing.values))


def save(file, content):
    stream = io.BytesIO()
    pickler = Pickler(stream)
    pickler.dump(content)
    members = [("data.pkl", stream.getvalue()), ("byteorder", b"little")]
    members += [(f"data/{i}", storage.bytes()) for i, storage in enumerate(pickler.storages)]
    members += [("version", b"3\n")]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(f"{file.stem}/{name}"), data)


def numbers(shape, start=0):
    """A tensor with the eighths start/8, (start+1)/8, ..."""
    count = 1
    for length in shape:
        count *= length
    return Tensor(Storage("Float", [(start + i) / 8 for i in range(count)]), shape)


def state_dict(shapes):
    """As Module.state_dict(): with an attribute that says how the modules were versioned."""
    state = collections.OrderedDict()
    for i, (name, shape) in enumerate(shapes):
        state[name] = numbers(shape, 10 * i)
    state._metadata = collections.OrderedDict([("", {"version": 1}), ("net", {"version": 1})])
    return state


def convolutions(channels, layers, prefix=""):
    shapes, width = [], channels
    for name, outputs, kernel in layers:
        shapes += [(f"{prefix}net.{name}.weight", (outputs, width, kernel))]
        shapes += [(f"{prefix}net.{name}.bias", (outputs,))]
        width = outputs
    return shapes


OFFSET10 = [("0", 2, 2), ("2.module.0", 2, 3), ("3.module.0", 2, 3), ("4.module.0", 2, 3), ("5", 2, 3)]
OFFSET5 = [("0", 2, 2), ("2.module.0", 2, 3), ("3", 2, 2)]
OFFSET1 = [
    ("net.1.weight", (2, 3)), ("net.1.bias", (2,)), ("net.3.weight", (2, 2)), ("net.3.bias", (2,)),
    ("net.5.weight", (1, 2)), ("net.5.bias", (1,)), ("net.7.weight", (2, 1)), ("net.7.bias", (2,)),
]


def adam(shapes, step):
    state = {}
    for i, (_, shape) in enumerate(shapes):
        state[i] = {"step": step(), "exp_avg": numbers(shape, i), "exp_avg_sq": numbers(shape, 2 * i)}
    return state


def optimizer(state, count):
    group = {
        "lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0, "amsgrad": False,
        "maximize": False, "foreach": None, "capturable": False, "params": list(range(count)),
    }
    return {"state": state, "param_groups": [group]}


def solver(model, criterion, adam_state, count, **fitted):
    log = {"pos": [0.5, 0.25], "neg": [4.0, 3.5], "total": [4.5, 3.75], "temperature": [1, 1]}
    return {
        "model": model,
        "optimizer": optimizer(adam_state, count),
        "loss": Tensor(Storage("Float", log["total"]), (2,)),
        "decode": [],
        "criterion": criterion,
        "version": "0.6.1",
        "log": log,
        **fitted,
    }


def learnable_criterion():
    return collections.OrderedDict(log_inverse_temperature=Tensor(Storage("Float", [0.75]), ()))


def solver_file():
    shapes = convolutions(2, OFFSET10)
    trained = shapes + [("log_inverse_temperature", ())]
    state = adam(trained, lambda: Tensor(Storage("Float", [2]), ()))
    return solver(state_dict(shapes), learnable_criterion(), state, len(trained), n_features=2)


def sessions_file():
    shapes = convolutions(2, OFFSET5, "0.") + convolutions(3, OFFSET5, "1.")
    fixed = collections.OrderedDict()
    return solver(state_dict(shapes), fixed, {}, len(shapes), n_features=[2, 3], num_sessions=2)


def estimator_file():
    """The steps are integers, as PyTorch before 1.12 wrote them; some numbers are NumPy's."""
    float64 = DType("f8")
    args = {
        "batch_size": Scalar(DType("i8"), "q", 512), "conditional": None, "criterion": "infonce",
        "delta": Scalar(float64, "d", 0.125), "device": Device("cuda", 0), "hybrid": False,
        "learning_rate": 0.0003, "max_iterations": 10, "model_architecture": "offset1-model",
        "optimizer_kwargs": (("betas", (0.9, 0.999)), ("amsgrad", False)), "output_dimension": 2,
        "verbose": Scalar(DType("b1", "|"), "?", True),
    }
    state = {
        "label_types_": [(float64, (100, 2))], "device_": "cpu", "n_features_": 3,
        "n_features_in_": 3, "num_sessions_": None, "offset_": Offset(0, 1),
        "solver_name_": "single-session",
    }
    inner = solver(
        state_dict(OFFSET1), collections.OrderedDict(), adam(OFFSET1[:2], lambda: 7), len(OFFSET1),
        n_features=3, num_sessions=None,
    )
    metadata = {
        "backend": "sklearn", "cebra_version": "0.6.1", "torch_version": Version("1.13.1"),
        "numpy_version": "1.24.2", "sklearn_version": "1.2.1",
    }
    return {"args": args, "state": state, "state_dict": inner, "metadata": metadata}


def views_file():
    """A model's state dict alone: views of one storage, other dtypes, an empty tensor."""
    shared = Storage("Double", range(12))
    return collections.OrderedDict(
        rows=Tensor(shared, (3, 4)),
        columns=Tensor(shared, (4, 3), stride=(1, 4)),
        corner=Tensor(shared, (2, 2), offset=6, stride=(4, 1)),
        scalar=Tensor(shared, (), offset=11),
        parameter=Parameter(Tensor(Storage("Half", [1, -2]), (2,))),
        long=Tensor(Storage("Long", [-1, 2**40]), (2,)),
        bytes=Tensor(Storage("Byte", [0, 255, 7]), (3,)),
        empty=Tensor(Storage("Float", []), (0, 3)),
    )


class RunsACommand:
    def __reduce__(self):
        return os.system, ("true",)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    save(folder / "solver.pt", solver_file())
    save(folder / "estimator.pt", estimator_file())
    save(folder / "sessions.pt", sessions_file())
    save(folder / "views.pt", views_file())
    save(folder / "command.pt", {"model": RunsACommand()})
    save(folder / "object.pt", empty_class("cebra.integrations.sklearn.cebra", "CEBRA")())


if __name__ == "__main__":
    main()

"""Writes the .pth files beside it with PyTorch (2.15 was used): `python torch_files.py`.

The values are a formula, so that the test knows them: the i-th number of tensor t is (t + 1) * (i - 3) / 8.
"""
import collections
import torch


def numbers(t, *shape):
    count = 1
    for s in shape:
        count *= s
    return ((t + 1) * (torch.arange(count, dtype=torch.float32) - 3) / 8).reshape(shape)


both = torch.stack([numbers(5, 2, 3), torch.zeros(2, 3)], dim=1)
state = collections.OrderedDict([
    ("module.float", numbers(0, 4, 3, 2, 2)),
    ("double", numbers(1, 5).double()),
    ("half", numbers(2, 3, 2).half()),
    ("bfloat", numbers(3, 3, 2).bfloat16()),
    ("transposed", numbers(4, 3, 4).t().contiguous().t()),
    ("slice", both[:, 0]),
    ("parameter", torch.nn.Parameter(numbers(6, 2))),
    ("scalar", numbers(7, 1).reshape(())),
    ("counter", torch.tensor(7)),
    ("empty", torch.zeros(0, 3)),
])
state._metadata = collections.OrderedDict([("", {"version": 1})])
torch.save(state, "state_zip.pth")
torch.save(state, "state_old.pth", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "state_dict": state}, "wrapped.pth")
torch.save(torch.nn.Linear(2, 2), "module.pth")

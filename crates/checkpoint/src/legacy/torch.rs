//! What PyTorch puts into a pickle: references to storages, and tensors as views of them.
//!
//! Here: the few names that a state dict needs, each as a case of a `match`. Not here: the archive around the pickle and
//! the numbers (`torch_file.rs`), the opcodes (`machine.rs`).
//!
//! Source: PyTorch `torch/serialization.py` (persistent ids), `torch/_utils.py` (`_rebuild_tensor_v2`).

use super::pickle::{Id, Node};

/// Most sizes of a tensor; a convolution's filters have four.
const MAX_DIMENSIONS: usize = 8;

/// A class or function that a state dict may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TorchGlobal {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(TorchNumber),
}

/// A storage's number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TorchNumber {
    Half,
    BFloat,
    Float,
    Double,
    /// Integers and booleans of so many bytes: counters, which no encoder needs.
    Other(usize),
}

impl TorchNumber {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Half | Self::BFloat => 2,
            Self::Float => 4,
            Self::Double => 8,
            Self::Other(bytes) => bytes,
        }
    }
}

/// A value that only PyTorch's pickles have.
#[derive(Debug, Clone)]
pub(super) enum Torch {
    Global(TorchGlobal),
    Storage(Storage),
    Tensor(TensorParts),
}

/// Numbers that lie elsewhere in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) number: TorchNumber,
    /// The text under which they lie.
    pub(super) key: Id,
    /// How many.
    pub(super) elements: usize,
}

/// A view of a storage.
#[derive(Debug, Clone)]
pub(super) struct TensorParts {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl TensorParts {
    /// How many numbers, if the view stays within its storage and has no more numbers than that.
    pub(super) fn count(&self) -> Option<usize> {
        let count = crate::checkpoint::elements(&self.shape)?;
        if count == 0 {
            return Some(0);
        }
        let mut last = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(stride)?)?;
        }
        (last < self.storage.elements && count <= self.storage.elements).then_some(count)
    }
}

impl TorchGlobal {
    /// The complete list of names that are not refused, beside numpy's.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        use TorchNumber::{BFloat, Double, Float, Half, Other};
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "HalfStorage") => Self::Storage(Half),
            ("torch", "BFloat16Storage") => Self::Storage(BFloat),
            ("torch", "FloatStorage") => Self::Storage(Float),
            ("torch", "DoubleStorage") => Self::Storage(Double),
            ("torch", "LongStorage") => Self::Storage(Other(8)),
            ("torch", "IntStorage") => Self::Storage(Other(4)),
            ("torch", "ShortStorage") => Self::Storage(Other(2)),
            ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => Self::Storage(Other(1)),
            _ => return None,
        })
    }
}

/// The persistent id ('storage', type, key, location, elements), in old files with a view's data behind.
pub(super) fn persistent<'a>(nodes: &[Node<'a>], id: &Node<'a>) -> Result<Node<'a>, String> {
    let Node::Tuple(parts) = id else {
        return Err(format!("persistent id is {}, expected a tuple", id.kind()));
    };
    let node = |i: usize| parts.get(i).map(|&id| &nodes[id as usize]);
    if !matches!(node(0), Some(Node::Text(t)) if t == "storage")
        && !matches!(node(0), Some(Node::Bytes(b)) if &b[..] == b"storage")
    {
        return Err("persistent id of something else than a storage".into());
    }
    let (Some(Node::Torch(kind)), Some(Node::Text(_) | Node::Bytes(_)), Some(Node::Int(elements))) =
        (node(1), node(2), node(4))
    else {
        return Err("storage expected its type, key, location and number of elements".into());
    };
    let Torch::Global(TorchGlobal::Storage(number)) = **kind else {
        return Err("storage of no known type".into());
    };
    if !matches!(node(5), None | Some(Node::None)) {
        return Err("storage that is a view of another, expected a whole one".into());
    }
    let elements =
        usize::try_from(*elements).map_err(|_| format!("storage of {elements} elements"))?;
    let storage = Storage {
        number,
        key: parts[2],
        elements,
    };
    Ok(Node::Torch(Box::new(Torch::Storage(storage))))
}

/// What REDUCE of `function` with `arguments` gives.
pub(super) fn reduce<'a>(
    nodes: &[Node<'a>],
    function: TorchGlobal,
    arguments: &[Id],
) -> Result<Node<'a>, String> {
    let argument = |i: usize| arguments.get(i).map(|&id| &nodes[id as usize]);
    let torch = |i: usize| match argument(i) {
        Some(Node::Torch(torch)) => Some(&**torch),
        _ => None,
    };
    match function {
        TorchGlobal::OrderedDict => match argument(0) {
            None => Ok(Node::Dict(Vec::new())),
            Some(Node::List(pairs)) => {
                let pair = |&id: &Id| match &nodes[id as usize] {
                    Node::List(pair) | Node::Tuple(pair) => <[Id; 2]>::try_from(&pair[..]).ok(),
                    _ => None,
                };
                let pairs: Option<Vec<[Id; 2]>> = pairs.iter().map(pair).collect();
                let pairs = pairs.ok_or("OrderedDict expected pairs")?;
                Ok(Node::Dict(pairs.into_iter().map(|[k, v]| (k, v)).collect()))
            }
            Some(other) => Err(format!("OrderedDict of {}", other.kind())),
        },
        TorchGlobal::RebuildTensor => {
            let Some(&Torch::Storage(storage)) = torch(0) else {
                return Err("_rebuild_tensor_v2 expected a storage".into());
            };
            let Some(Node::Int(offset)) = argument(1) else {
                return Err("_rebuild_tensor_v2 expected an offset".into());
            };
            let tensor = TensorParts {
                storage,
                offset: usize::try_from(*offset).map_err(|_| format!("tensor offset {offset}"))?,
                shape: sizes(nodes, argument(2), "size")?,
                strides: sizes(nodes, argument(3), "stride")?,
            };
            if tensor.shape.len() != tensor.strides.len() || tensor.count().is_none() {
                return Err(format!(
                    "tensor {:?} with strides {:?} at {offset} leaves its storage of {} elements",
                    tensor.shape, tensor.strides, storage.elements
                ));
            }
            Ok(Node::Torch(Box::new(Torch::Tensor(tensor))))
        }
        TorchGlobal::RebuildParameter => match torch(0) {
            Some(tensor @ Torch::Tensor(_)) => Ok(Node::Torch(Box::new(tensor.clone()))),
            _ => Err("_rebuild_parameter expected a tensor".into()),
        },
        TorchGlobal::Storage(_) => Err("a storage's type called directly".into()),
    }
}

fn sizes(nodes: &[Node<'_>], tuple: Option<&Node<'_>>, what: &str) -> Result<Vec<usize>, String> {
    let Some(Node::Tuple(ids)) = tuple else {
        return Err(format!("_rebuild_tensor_v2 expected a tuple of {what}s"));
    };
    if ids.len() > MAX_DIMENSIONS {
        return Err(format!(
            "tensor of {} dimensions, expected at most {MAX_DIMENSIONS}",
            ids.len()
        ));
    }
    let size = |&id: &Id| match &nodes[id as usize] {
        Node::Int(n) => usize::try_from(*n).map_err(|_| format!("tensor {what} is {n}")),
        other => Err(format!("tensor {what} is {}", other.kind())),
    };
    ids.iter().map(size).collect()
}

//! A Python pickle as plain data.
//!
//! Here: the values that a pickle holds and how to look at them. Not here: the opcodes
//! (`machine.rs`), numpy's share (`numpy.rs`), what NeuralTalk means by them (`neuraltalk.rs`).
//!
//! Values live in one flat vector and refer to each other by number: what is shared in Python
//! is shared here, nothing is ever copied because it occurs twice, and neither reading nor
//! dropping recurses, however deep a hostile file nests.

use std::borrow::Cow;

use super::graph;
use super::machine::Machine;
use super::numpy::{Array, ArrayParts, Dtype, Global, ScalarParts};
use super::pickle_error::PickleError;
use super::torch::{TensorParts, Torch, TorchNumber};

/// [`Pickle::parse`] allocates at most this many bytes for every byte of the pickle (and 4 KiB).
/// The worst opcode is `]`: one byte makes an empty list, and the vectors that hold it may just
/// be doubling.
pub const PICKLE_MEMORY_FACTOR: usize = 192;

/// A number of a value.
pub(super) type Id = u32;

/// A parsed pickle; strings and array data are borrowed from the file's bytes where possible.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    root: Id,
}

/// One value; containers hold the numbers of their elements.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Little-endian two's complement of an integer that does not fit 64 bits.
    LongBytes(&'a [u8]),
    /// Decimal digits (with sign) of an integer that does not fit 64 bits.
    LongDigits(&'a str),
    Float(f64),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Dtype(Dtype),
    /// An array between its reconstructor and its BUILD.
    ArrayShell,
    Array(Box<ArrayParts>),
    Scalar(ScalarParts),
    Torch(Box<Torch>),
}

impl<'a> Pickle<'a> {
    /// Parses a pickle of protocol 0 to 5. What follows its STOP opcode is ignored, as Python does.
    ///
    /// # Errors
    /// With the opcode's offset: anything cut off or malformed; any global but numpy's
    /// reconstructors; object arrays; containers that contain themselves or nest more than
    /// [`MAX_DEPTH`](graph::MAX_DEPTH) deep.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PickleError> {
        Self::parse_with(bytes, false).map(|(pickle, _)| pickle)
    }

    /// As [`parse`](Self::parse), with PyTorch's tensors; also the number of bytes up to the STOP opcode.
    pub(super) fn parse_torch(bytes: &'a [u8]) -> Result<(Self, usize), PickleError> {
        Self::parse_with(bytes, true)
    }

    fn parse_with(bytes: &'a [u8], torch: bool) -> Result<(Self, usize), PickleError> {
        let (nodes, made_at, root, used) = Machine::new(bytes, torch).run()?;
        graph::check(&nodes, &made_at, root)?;
        Ok((Self { nodes, root }, used))
    }

    /// Keys and number types of all storages that PyTorch's tensors refer to.
    pub(super) fn torch_storages(&self) -> impl Iterator<Item = (&str, TorchNumber)> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Torch(torch) => match &**torch {
                Torch::Storage(s) => Some((self.value(s.key).as_str()?, s.number)),
                _ => None,
            },
            _ => None,
        })
    }

    /// The pickled value.
    pub fn root(&self) -> Value<'_> {
        self.value(self.root)
    }

    fn value(&self, id: Id) -> Value<'_> {
        Value { pickle: self, id }
    }
}

/// A look at one value of a pickle.
#[derive(Clone, Copy)]
pub struct Value<'p> {
    pickle: &'p Pickle<'p>,
    id: Id,
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({} #{})", self.node().kind(), self.id)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'p> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Integer(Integer<'p>),
    /// A float.
    Float(f64),
    /// Python 2's `str`, Python 3's `bytes`.
    Bytes(&'p [u8]),
    /// Python 2's `unicode`, Python 3's `str`.
    Text(&'p str),
    /// A list.
    List(Items<'p>),
    /// A tuple.
    Tuple(Items<'p>),
    /// A set, in the file's order.
    Set(Items<'p>),
    /// A dictionary; see [`Value::pairs`].
    Dict,
    /// A numpy array.
    Array(Array<'p>),
    /// A numpy scalar: its type and its value.
    Scalar(Dtype, f64),
    /// A numpy dtype.
    Dtype(Dtype),
    /// A reconstructor that was never called, or an array that was never filled.
    Other,
}

/// An integer of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer<'p> {
    /// One that fits.
    Small(i64),
    /// Little-endian two's complement.
    Bytes(&'p [u8]),
    /// Decimal digits with their sign.
    Digits(&'p str),
}

impl Integer<'_> {
    /// The number, if it is one that u64 holds; a random seed may need all 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Small(n) => u64::try_from(n).ok(),
            Self::Digits(digits) => digits.parse().ok(),
            // The ninth byte is there for the sign.
            Self::Bytes(bytes) => match bytes.split_at_checked(8)? {
                (low, [0]) => low.try_into().ok().map(u64::from_le_bytes),
                _ => None,
            },
        }
    }
}

/// Elements of a list, tuple or set.
#[derive(Clone, Copy)]
pub struct Items<'p> {
    pickle: &'p Pickle<'p>,
    ids: &'p [Id],
}

impl std::fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} items", self.ids.len())
    }
}

impl<'p> Items<'p> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'p>> + use<'p> {
        let pickle = self.pickle;
        self.ids.iter().map(move |&id| pickle.value(id))
    }
}

impl<'p> Value<'p> {
    fn node(&self) -> &'p Node<'p> {
        &self.pickle.nodes[self.id as usize]
    }

    /// What this value is.
    pub fn kind(&self) -> Kind<'p> {
        let pickle = self.pickle;
        match self.node() {
            Node::None => Kind::None,
            Node::Bool(b) => Kind::Bool(*b),
            Node::Int(n) => Kind::Integer(Integer::Small(*n)),
            Node::LongBytes(bytes) => Kind::Integer(Integer::Bytes(bytes)),
            Node::LongDigits(digits) => Kind::Integer(Integer::Digits(digits)),
            Node::Float(x) => Kind::Float(*x),
            Node::Bytes(bytes) => Kind::Bytes(bytes),
            Node::Text(text) => Kind::Text(text),
            Node::List(ids) => Kind::List(Items { pickle, ids }),
            Node::Tuple(ids) => Kind::Tuple(Items { pickle, ids }),
            Node::Set(ids) => Kind::Set(Items { pickle, ids }),
            Node::Dict(_) => Kind::Dict,
            Node::Array(parts) => match &pickle.nodes[parts.data as usize] {
                Node::Bytes(bytes) => Kind::Array(Array::new(parts, bytes)),
                _ => Kind::Other,
            },
            Node::Scalar(scalar) => Kind::Scalar(scalar.dtype, scalar.value()),
            Node::Dtype(dtype) => Kind::Dtype(*dtype),
            Node::Global(_) | Node::ArrayShell | Node::Torch(_) => Kind::Other,
        }
    }

    /// What this value is, as a word for messages.
    pub fn kind_name(&self) -> &'static str {
        self.node().kind()
    }

    /// The pairs of a dictionary in the file's order (a key that occurs twice counts as its last).
    pub fn pairs(&self) -> Option<impl Iterator<Item = (Value<'p>, Value<'p>)> + use<'p>> {
        let pickle = self.pickle;
        match self.node() {
            Node::Dict(pairs) => Some(
                pairs
                    .iter()
                    .map(move |&(key, value)| (pickle.value(key), pickle.value(value))),
            ),
            _ => None,
        }
    }

    /// The value under a string key, whether Python 2 wrote it as `str` or as `unicode`.
    pub fn get(&self, key: &str) -> Option<Value<'p>> {
        self.pairs()?
            .filter(|(k, _)| k.as_bytes() == Some(key.as_bytes()))
            .last()
            .map(|(_, value)| value)
    }

    /// The bytes of a string of either kind (UTF-8 if it was `unicode`).
    pub fn as_bytes(&self) -> Option<&'p [u8]> {
        match self.node() {
            Node::Bytes(bytes) => Some(bytes),
            Node::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// A string of either kind, if it is UTF-8.
    pub fn as_str(&self) -> Option<&'p str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// An integer, a bool or an integral numpy scalar, if it fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.node() {
            Node::Int(n) => Some(*n),
            Node::Bool(b) => Some(i64::from(*b)),
            Node::Scalar(scalar) => scalar.integer(),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(&self) -> Option<f64> {
        match self.node() {
            Node::Int(n) => Some(*n as f64),
            Node::Bool(b) => Some(f64::from(u8::from(*b))),
            Node::Float(x) => Some(*x),
            Node::Scalar(scalar) => Some(scalar.value()),
            _ => None,
        }
    }

    /// A tensor of PyTorch, and the key of its storage.
    pub(super) fn as_torch_tensor(&self) -> Option<(&'p TensorParts, &'p str)> {
        match self.node() {
            Node::Torch(torch) => match &**torch {
                Torch::Tensor(parts) => {
                    Some((parts, self.pickle.value(parts.storage.key).as_str()?))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A numpy array.
    pub fn as_array(&self) -> Option<Array<'p>> {
        match self.kind() {
            Kind::Array(array) => Some(array),
            _ => None,
        }
    }
}

impl Node<'_> {
    /// A word for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::LongBytes(_) | Self::LongDigits(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bytes(_) => "a byte string",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(_) => "a set",
            Self::Dict(_) => "a dictionary",
            Self::Global(_) => "a function",
            Self::Dtype(_) => "a numpy dtype",
            Self::ArrayShell => "an unfilled numpy array",
            Self::Array(_) => "a numpy array",
            Self::Scalar(_) => "a numpy scalar",
            Self::Torch(torch) => match **torch {
                Torch::Global(_) => "a function of PyTorch",
                Torch::Storage(_) => "a storage",
                Torch::Tensor(_) => "a tensor",
            },
        }
    }

    /// Visits the values inside this one.
    pub(super) fn children(&self, mut visit: impl FnMut(Id)) {
        match self {
            Self::List(ids) | Self::Tuple(ids) | Self::Set(ids) => {
                ids.iter().for_each(|&i| visit(i))
            }
            Self::Dict(pairs) => pairs.iter().for_each(|&(key, value)| {
                visit(key);
                visit(value);
            }),
            _ => {}
        }
    }
}

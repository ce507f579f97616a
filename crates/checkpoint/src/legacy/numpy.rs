//! What numpy puts into a pickle: dtypes, arrays and scalars, rebuilt without calling anything.
//!
//! Here: the few functions that numpy's pickles name, each as a case of a `match`. Not here: the
//! opcodes (`machine.rs`), what NeuralTalk's arrays mean (`neuraltalk.rs`).
//!
//! Source: numpy `core/src/multiarray/{methods,descriptor,scalartypes}.c` (`array_setstate`,
//! `arraydescr_setstate`, `gentype_reduce`), `numpy/_core/numeric.py` (`_frombuffer`).

use super::pickle::{Id, Node};

/// Most dimensions of an array (numpy 2's limit).
const MAX_DIMENSIONS: usize = 64;

/// A function or class that a numpy pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    Reconstruct,
    NdArray,
    Dtype,
    Scalar,
    FromBuffer,
    /// Python 3 writes a protocol-2 byte string as a text and the codec to encode it with.
    Encode,
    /// Python 3 writes an empty protocol-2 byte string as `bytes()`; with arguments it is refused.
    Bytes,
}

impl Global {
    /// The complete list of names that are not refused.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::Reconstruct
            }
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::Dtype,
            ("_codecs", "encode") => Self::Encode,
            ("__builtin__" | "builtins", "bytes") => Self::Bytes,
            _ => return None,
        })
    }
}

/// Family of a number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// IEEE float of 4 or 8 bytes.
    Float,
    /// Signed integer of 1, 2, 4 or 8 bytes.
    Signed,
    /// Unsigned integer of 1, 2, 4 or 8 bytes.
    Unsigned,
    /// One byte, 0 or not.
    Bool,
}

/// A number type as it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    /// Family.
    pub kind: NumberKind,
    /// Bytes of one number.
    pub size: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

impl std::fmt::Display for Dtype {
    /// As numpy writes it: `<f8`, `>f4`, `|u1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let order = match (self.size, self.big_endian) {
            (1, _) => '|',
            (_, true) => '>',
            (_, false) => '<',
        };
        let kind = match self.kind {
            NumberKind::Float => 'f',
            NumberKind::Signed => 'i',
            NumberKind::Unsigned => 'u',
            NumberKind::Bool => 'b',
        };
        write!(f, "{order}{kind}{}", self.size)
    }
}

impl Dtype {
    /// `numpy.dtype('f8')`; the byte order may stand in front or come later, in the state.
    fn parse(name: &str) -> Result<Self, String> {
        let (big_endian, bare) = match name.as_bytes().first() {
            Some(b'>') => (true, &name[1..]),
            Some(b'<' | b'|' | b'=') => (false, &name[1..]),
            _ => (false, name),
        };
        let (kind, size) = match bare {
            "f4" => (NumberKind::Float, 4),
            "f8" => (NumberKind::Float, 8),
            "i1" => (NumberKind::Signed, 1),
            "i2" => (NumberKind::Signed, 2),
            "i4" => (NumberKind::Signed, 4),
            "i8" => (NumberKind::Signed, 8),
            "u1" => (NumberKind::Unsigned, 1),
            "u2" => (NumberKind::Unsigned, 2),
            "u4" => (NumberKind::Unsigned, 4),
            "u8" => (NumberKind::Unsigned, 8),
            "b1" => (NumberKind::Bool, 1),
            _ => {
                return Err(format!(
                    "dtype `{}` is not read, only f4, f8, i1 to i8, u1 to u8 and b1",
                    super::escapes::shorten(name)
                ));
            }
        };
        Ok(Self {
            kind,
            size,
            big_endian,
        })
    }

    /// How the `size` bytes of one number become an f64 (integers above 2^53 are rounded).
    fn reader(self) -> fn(&[u8]) -> f64 {
        macro_rules! number {
            ($type:ty, $bytes:expr) => {{
                if self.big_endian {
                    |b: &[u8]| <$type>::from_be_bytes(b.try_into().expect($bytes)) as f64
                } else {
                    |b: &[u8]| <$type>::from_le_bytes(b.try_into().expect($bytes)) as f64
                }
            }};
        }
        match (self.kind, self.size) {
            (NumberKind::Float, 4) => number!(f32, "4 bytes"),
            (NumberKind::Float, _) => number!(f64, "8 bytes"),
            (NumberKind::Signed, 1) => number!(i8, "1 byte"),
            (NumberKind::Signed, 2) => number!(i16, "2 bytes"),
            (NumberKind::Signed, 4) => number!(i32, "4 bytes"),
            (NumberKind::Signed, _) => number!(i64, "8 bytes"),
            (NumberKind::Unsigned, 1) => number!(u8, "1 byte"),
            (NumberKind::Unsigned, 2) => number!(u16, "2 bytes"),
            (NumberKind::Unsigned, 4) => number!(u32, "4 bytes"),
            (NumberKind::Unsigned, _) => number!(u64, "8 bytes"),
            (NumberKind::Bool, _) => |b: &[u8]| f64::from(u8::from(b[0] != 0)),
        }
    }
}

/// An array as the pickle describes it; `data` is the number of its byte string.
#[derive(Debug)]
pub(super) struct ArrayParts {
    shape: Vec<usize>,
    dtype: Dtype,
    fortran: bool,
    pub(super) data: Id,
}

/// A scalar's type and bytes.
#[derive(Debug)]
pub(super) struct ScalarParts {
    pub(super) dtype: Dtype,
    bytes: [u8; 8],
}

impl ScalarParts {
    pub(super) fn value(&self) -> f64 {
        self.dtype.reader()(&self.bytes[..self.dtype.size])
    }

    /// Exact, where it is an integer that fits.
    pub(super) fn integer(&self) -> Option<i64> {
        if self.dtype.kind == NumberKind::Float {
            return None;
        }
        let mut bytes = self.bytes;
        if self.dtype.big_endian {
            bytes[..self.dtype.size].reverse();
        }
        let unused = 64 - 8 * self.dtype.size as u32;
        match self.dtype.kind {
            NumberKind::Signed => Some((i64::from_le_bytes(bytes) << unused) >> unused),
            _ => i64::try_from(u64::from_le_bytes(bytes)).ok(),
        }
    }
}

/// A numpy array: shape, type and bytes, of which [`values`](Self::values) makes numbers.
#[derive(Debug, Clone, Copy)]
pub struct Array<'p> {
    parts: &'p ArrayParts,
    bytes: &'p [u8],
}

impl<'p> Array<'p> {
    pub(super) fn new(parts: &'p ArrayParts, bytes: &'p [u8]) -> Self {
        Self { parts, bytes }
    }

    /// Sizes, slowest first in the array's own terms (not in the file's).
    pub fn shape(&self) -> &'p [usize] {
        &self.parts.shape
    }

    /// Number type as in the file.
    pub fn dtype(&self) -> Dtype {
        self.parts.dtype
    }

    /// Whether the file has the columns one after the other.
    pub fn is_fortran(&self) -> bool {
        self.parts.fortran
    }

    /// All values in row-major order, whatever the order in the file.
    pub fn values(&self) -> Vec<f64> {
        let size = self.parts.dtype.size;
        let read = self.parts.dtype.reader();
        if !self.parts.fortran || self.parts.shape.len() < 2 {
            return self.bytes.chunks_exact(size).map(read).collect();
        }
        let count = self.bytes.len() / size;
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.parts.shape.len()];
        for _ in 0..count {
            // In Fortran order the first index runs fastest.
            let at = index
                .iter()
                .zip(&self.parts.shape)
                .rev()
                .fold(0, |at, (&i, &length)| at * length + i);
            values.push(read(&self.bytes[at * size..][..size]));
            for (i, &length) in index.iter_mut().zip(&self.parts.shape).rev() {
                *i += 1;
                if *i < length {
                    break;
                }
                *i = 0;
            }
        }
        values
    }
}

/// What REDUCE of `function` with `arguments` gives.
pub(super) fn reduce<'a>(
    nodes: &[Node<'a>],
    function: Global,
    arguments: &[Id],
) -> Result<Node<'a>, String> {
    let argument = |i: usize| arguments.get(i).map(|&id| &nodes[id as usize]);
    match function {
        // _reconstruct(ndarray, (0,), 'b') makes an array that BUILD then fills.
        Global::Reconstruct => match argument(0) {
            Some(Node::Global(Global::NdArray)) => Ok(Node::ArrayShell),
            Some(other) => Err(format!(
                "_reconstruct of {}, expected ndarray",
                other.kind()
            )),
            None => Err("_reconstruct without arguments".into()),
        },
        Global::NdArray => Err("ndarray called directly, expected _reconstruct".into()),
        Global::Dtype => match argument(0).and_then(string) {
            Some(name) => Dtype::parse(name).map(Node::Dtype),
            None => Err("dtype without a name".into()),
        },
        Global::Scalar => match (argument(0), argument(1)) {
            (Some(Node::Dtype(dtype)), Some(Node::Bytes(bytes))) if bytes.len() == dtype.size => {
                let mut scalar = [0; 8];
                scalar[..dtype.size].copy_from_slice(bytes);
                Ok(Node::Scalar(ScalarParts {
                    dtype: *dtype,
                    bytes: scalar,
                }))
            }
            (Some(Node::Dtype(dtype)), Some(Node::Bytes(bytes))) => Err(format!(
                "scalar of {dtype} needs {} bytes, found {}",
                dtype.size,
                bytes.len()
            )),
            _ => Err("scalar expected a dtype and a byte string".into()),
        },
        // _frombuffer(buffer, dtype, shape, 'C' or 'F')
        Global::FromBuffer => {
            let order = match argument(3).and_then(string) {
                Some("C") => false,
                Some("F") => true,
                _ => return Err("_frombuffer order, expected 'C' or 'F'".into()),
            };
            let [data, dtype, shape, _] = arguments else {
                return Err(format!(
                    "_frombuffer with {} arguments, expected 4",
                    arguments.len()
                ));
            };
            array(nodes, *shape, *dtype, order, *data)
        }
        Global::Encode => match (argument(0), argument(1).and_then(string)) {
            (Some(Node::Text(text)), Some("latin1" | "latin-1" | "iso-8859-1")) => {
                let latin1 = |c: char| u8::try_from(u32::from(c)).map_err(|_| c);
                let bytes: Result<Vec<u8>, char> = text.chars().map(latin1).collect();
                let bytes = bytes.map_err(|c| format!("byte string has U+{:04X}", u32::from(c)))?;
                Ok(Node::Bytes(bytes.into()))
            }
            _ => Err("_codecs.encode expected a text and 'latin1'".into()),
        },
        Global::Bytes if arguments.is_empty() => Ok(Node::Bytes((&[]).into())),
        Global::Bytes => Err("bytes() with arguments, expected none".into()),
    }
}

/// What BUILD with `state` makes of a shell, an array or a dtype.
pub(super) fn build<'a>(
    nodes: &[Node<'a>],
    object: &Node<'a>,
    state: &Node<'a>,
) -> Result<Node<'a>, String> {
    let Node::Tuple(state) = state else {
        return Err(format!("state is {}, expected a tuple", state.kind()));
    };
    match object {
        Node::Dtype(dtype) => build_dtype(nodes, *dtype, state).map(Node::Dtype),
        Node::ArrayShell | Node::Array(_) => {
            // Files from before numpy 1.0 have no version number in front.
            let (&[shape, dtype, fortran, data] | &[_, shape, dtype, fortran, data]) = &state[..]
            else {
                return Err(format!("array state of {} values, expected 5", state.len()));
            };
            let fortran = match &nodes[fortran as usize] {
                Node::Bool(fortran) => *fortran,
                Node::Int(fortran) => *fortran != 0,
                other => return Err(format!("array order is {}, expected a bool", other.kind())),
            };
            array(nodes, shape, dtype, fortran, data)
        }
        other => Err(format!("state for {}, expected an array", other.kind())),
    }
}

/// (version, byte order, subdtype, names, fields, item size, alignment, flags): only the byte
/// order matters for plain numbers, and the next three must be None.
fn build_dtype(nodes: &[Node<'_>], dtype: Dtype, state: &[Id]) -> Result<Dtype, String> {
    let item = |i: usize| state.get(i).map(|&id| &nodes[id as usize]);
    let big_endian = match item(1).and_then(string) {
        Some(">") => true,
        Some("<" | "|" | "=") => false,
        _ => return Err("dtype byte order, expected '<', '>', '=' or '|'".into()),
    };
    if (2..5).any(|i| !matches!(item(i), Some(Node::None))) {
        return Err("dtype with fields or a shape of its own, expected plain numbers".into());
    }
    Ok(Dtype {
        big_endian,
        ..dtype
    })
}

/// An array whose sizes have been compared with its bytes.
fn array<'a>(
    nodes: &[Node<'a>],
    shape: Id,
    dtype: Id,
    fortran: bool,
    data: Id,
) -> Result<Node<'a>, String> {
    let &Node::Dtype(dtype) = &nodes[dtype as usize] else {
        let found = nodes[dtype as usize].kind();
        return Err(format!("array type is {found}, expected a dtype"));
    };
    let Node::Tuple(sizes) = &nodes[shape as usize] else {
        let found = nodes[shape as usize].kind();
        return Err(format!("array shape is {found}, expected a tuple"));
    };
    if sizes.len() > MAX_DIMENSIONS {
        return Err(format!(
            "array of {} dimensions, expected at most {MAX_DIMENSIONS}",
            sizes.len()
        ));
    }
    let size = |&id: &Id| match &nodes[id as usize] {
        Node::Int(n) => usize::try_from(*n).map_err(|_| format!("array size is {n}")),
        other => Err(format!(
            "array size is {}, expected an integer",
            other.kind()
        )),
    };
    let shape: Vec<usize> = sizes.iter().map(size).collect::<Result<_, _>>()?;
    let Node::Bytes(bytes) = &nodes[data as usize] else {
        let found = nodes[data as usize].kind();
        return Err(format!("array data is {found}, expected a byte string"));
    };
    let needed = match shape.contains(&0) {
        true => Some(0),
        false => crate::checkpoint::elements(&shape).and_then(|n| n.checked_mul(dtype.size)),
    };
    if needed != Some(bytes.len()) {
        let found = bytes.len();
        return Err(format!(
            "array {shape:?} of {dtype} does not fit its {found} bytes"
        ));
    }
    Ok(Node::Array(Box::new(ArrayParts {
        shape,
        dtype,
        fortran,
        data,
    })))
}

/// A string of either kind.
fn string<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match node {
        Node::Text(text) => Some(text),
        Node::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

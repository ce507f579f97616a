//! PyTorch's `.pth` files: a state dict and its numbers.
//!
//! Here: the zip archive of PyTorch 1.6 and later, and the sequence of pickles before it (torchvision's older weights).
//! Not here: the pickle (`machine.rs`, `torch.rs`), what the tensors are for (`models::encoder`).
//!
//! Source: PyTorch `torch/serialization.py` (`_save`, `_legacy_save`).

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use models::encoder::StateDict;

use super::pickle::{Pickle, Value};
use super::torch::{TensorParts, TorchNumber};
use crate::CheckpointError;

/// The first bytes of a zip archive.
const ZIP: &[u8] = b"PK\x03\x04";
/// The pickled number that old files begin with.
const OLD: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// Whether a file that begins like this is PyTorch's.
pub(crate) fn is_torch(start: &[u8]) -> bool {
    start.starts_with(ZIP) || start.starts_with(OLD)
}

/// Reads the tensors of a state dict; integers (counters) are passed over, a leading `module.` is taken off the names.
///
/// At most four numbers of f32 are made for every four bytes of the file.
///
/// # Errors
/// What is cut off, malformed, compressed, or no state dict; classes and functions beside tensors are refused by name.
pub fn read_torch(bytes: &[u8], path: &Path) -> Result<StateDict, CheckpointError> {
    let mut reader = Reader {
        path,
        left: bytes.len(),
        state: StateDict::default(),
    };
    if bytes.starts_with(ZIP) {
        reader.zip(bytes)?;
    } else {
        reader.old(bytes)?;
    }
    Ok(reader.state)
}

struct Reader<'a> {
    path: &'a Path,
    /// Numbers that may still be made.
    left: usize,
    state: StateDict,
}

/// The bytes of a storage by its key.
type Fetch<'f> = dyn FnMut(&str, usize) -> Result<Vec<u8>, String> + 'f;

impl Reader<'_> {
    fn zip(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
            .map_err(|e| self.problem(format!("the zip archive does not open: {e}")))?;
        let name = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|name| name.ends_with("/data.pkl"))
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| self.problem("the zip archive has no data.pkl".into()))?;
        let folder = name.trim_end_matches("data.pkl").to_owned();
        if let Ok(order) = entry(&mut archive, &format!("{folder}byteorder"), 16)
            && order != b"little"
        {
            let order = order.escape_ascii();
            return Err(self.problem(format!("byte order `{order}`, expected little")));
        }
        let pickle = entry(&mut archive, &name, bytes.len()).map_err(|p| self.problem(p))?;
        let (pickle, _) = self.pickle(&pickle)?;
        let root = dictionary(pickle.root());
        self.tensors(root, &mut |key, length| {
            let data = entry(&mut archive, &format!("{folder}data/{key}"), length)?;
            match data.len() >= length {
                true => Ok(data),
                false => Err(format!(
                    "storage {key} has {} bytes, {length} expected",
                    data.len()
                )),
            }
        })
    }

    fn old(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        let mut at = OLD.len();
        // The protocol's version and facts about the machine that wrote it.
        for _ in 0..2 {
            at += self.pickle(rest(bytes, at))?.1;
        }
        let (pickle, used) = self.pickle(rest(bytes, at))?;
        at += used;
        let (keys, used) = self.pickle(rest(bytes, at))?;
        at += used;
        let root = dictionary(pickle.root());
        // Storages follow in the order of their keys, each behind its number of elements; how large an element is says
        // only the pickle.
        let widths: HashMap<&str, TorchNumber> = pickle.torch_storages().collect();
        let mut places = HashMap::new();
        let super::Kind::List(keys) = keys.root().kind() else {
            return Err(self.problem("the list of storages is missing".into()));
        };
        for key in keys.iter() {
            let known = key.as_str().and_then(|key| Some((key, *widths.get(key)?)));
            let Some((key, number)) = known else {
                return Err(self.problem("a storage that no tensor uses".into()));
            };
            let count = rest(bytes, at)
                .first_chunk()
                .map(|&b| u64::from_le_bytes(b));
            let length = count.and_then(|n| usize::try_from(n).ok()?.checked_mul(number.bytes()));
            let data = length.and_then(|length| rest(bytes, at + 8).get(..length));
            let Some(data) = data else {
                return Err(self.problem(format!("the file is cut off in storage {key}")));
            };
            at += 8 + data.len();
            places.insert(key.to_owned(), data);
        }
        self.tensors(root, &mut |key, length| {
            let data = places
                .get(key)
                .ok_or_else(|| format!("storage {key} is missing"))?;
            let data = data.get(..length);
            let data = data.ok_or_else(|| format!("storage {key} is too short"))?;
            Ok(data.to_vec())
        })
    }

    fn tensors(
        &mut self,
        root: Option<Value<'_>>,
        fetch: &mut Fetch<'_>,
    ) -> Result<(), CheckpointError> {
        let pairs = root.and_then(|root| root.pairs());
        let Some(pairs) = pairs else {
            return Err(self.problem("it holds no dictionary of tensors".into()));
        };
        for (key, value) in pairs {
            let (Some(name), Some((tensor, storage))) = (key.as_str(), value.as_torch_tensor())
            else {
                continue;
            };
            if matches!(tensor.storage.number, TorchNumber::Other(_)) {
                continue;
            }
            let name = name.strip_prefix("module.").unwrap_or(name);
            let count = tensor.count().unwrap_or(usize::MAX);
            self.left = self.left.checked_sub(count).ok_or_else(|| {
                self.problem(format!(
                    "tensor `{name}`: more numbers than the file has bytes"
                ))
            })?;
            let length = tensor
                .storage
                .elements
                .checked_mul(tensor.storage.number.bytes());
            let length =
                length.ok_or_else(|| self.problem(format!("storage {storage} is too large")))?;
            let bytes = fetch(storage, length)
                .map_err(|problem| self.problem(format!("tensor `{name}`: {problem}")))?;
            self.state
                .insert(name, tensor.shape.clone(), view(tensor, count, &bytes));
        }
        Ok(())
    }

    fn pickle<'b>(&self, bytes: &'b [u8]) -> Result<(Pickle<'b>, usize), CheckpointError> {
        Pickle::parse_torch(bytes).map_err(|source| CheckpointError::Pickle {
            path: self.path.into(),
            source,
        })
    }

    fn problem(&self, problem: String) -> CheckpointError {
        CheckpointError::Weights {
            path: self.path.into(),
            problem,
        }
    }
}

/// The dictionary of tensors: the root, or what training scripts wrap it in.
fn dictionary(root: Value<'_>) -> Option<Value<'_>> {
    let has_tensors = |value: &Value<'_>| {
        value
            .pairs()
            .is_some_and(|mut pairs| pairs.any(|(_, v)| v.as_torch_tensor().is_some()))
    };
    let inner = ["state_dict", "model", "model_state_dict"];
    [Some(root)]
        .into_iter()
        .chain(inner.map(|key| root.get(key)))
        .flatten()
        .find(has_tensors)
}

/// An entry of the archive, at most `limit` bytes of it.
fn entry(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: usize,
) -> Result<Vec<u8>, String> {
    let file = archive
        .by_name(name)
        .map_err(|e| format!("`{name}` in the zip archive: {e}"))?;
    if file.compression() != zip::CompressionMethod::Stored {
        return Err(format!(
            "`{name}` in the zip archive is compressed, PyTorch's aren't"
        ));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("`{name}` in the zip archive: {e}"))?;
    Ok(bytes)
}

fn rest(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or(&[])
}

/// A tensor's numbers, row-major.
fn view(tensor: &TensorParts, count: usize, bytes: &[u8]) -> Vec<f32> {
    let size = tensor.storage.number.bytes();
    let read: fn(&[u8]) -> f32 = match tensor.storage.number {
        TorchNumber::Half => |b| half::f16::from_le_bytes(b.try_into().expect("2 bytes")).to_f32(),
        TorchNumber::BFloat => {
            |b| half::bf16::from_le_bytes(b.try_into().expect("2 bytes")).to_f32()
        }
        TorchNumber::Double => |b| f64::from_le_bytes(b.try_into().expect("8 bytes")) as f32,
        _ => |b| f32::from_le_bytes(b.try_into().expect("4 bytes")),
    };
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..count {
        let steps = index.iter().zip(&tensor.strides).map(|(i, s)| i * s);
        let at = tensor.offset + steps.sum::<usize>();
        values.push(read(&bytes[at * size..][..size]));
        for (i, &length) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < length {
                break;
            }
            *i = 0;
        }
    }
    values
}

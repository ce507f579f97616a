//! Weights by the names of published files, and what doesn't fit an encoder.
//!
//! Here: plain arrays, the change between PyTorch's layout and ours, errors. Not here: file formats (`checkpoint`).

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use tensor::{Element, Numbers};

use super::network::{Convolution, Kind, Network};

/// Arrays by name, row-major, as PyTorch's `state_dict()` has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    arrays: BTreeMap<String, (Vec<usize>, Numbers)>,
}

impl StateDict {
    /// Adds an array; one of the same name is replaced.
    ///
    /// # Panics
    /// If the numbers aren't as many as the shape says.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        shape: Vec<usize>,
        values: impl Into<Numbers>,
    ) {
        let values = values.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "numbers for the shape {shape:?}"
        );
        self.arrays.insert(name.into(), (shape, values));
    }

    /// Shape and numbers of an array.
    pub fn get(&self, name: &str) -> Option<(&[usize], &Numbers)> {
        let (shape, values) = self.arrays.get(name)?;
        Some((shape, values))
    }

    /// Whether there is an array of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// All arrays, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize], &Numbers)> {
        let arrays = self.arrays.iter();
        arrays.map(|(name, (shape, values))| (name.as_str(), &shape[..], values))
    }

    /// All arrays by name, their numbers to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut [f32])> {
        let arrays = self.arrays.iter_mut();
        arrays.map(|(name, (_, values))| (name.as_str(), &mut values.singles_mut()[..]))
    }

    /// Whether the other has arrays of the same names and shapes.
    pub fn alike(&self, other: &Self) -> bool {
        let shapes = |(name, shape, _)| (name, shape);
        self.iter().map(shapes).eq(other.iter().map(shapes))
    }

    /// Forgets the arrays whose names `keep` denies.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.arrays.retain(|name, _| keep(name));
    }

    /// How many numbers follow `prefix`, dense from 0: `blocks.0.`, `blocks.1.`, ..
    pub(super) fn count(&self, prefix: &str, suffix: &str) -> usize {
        (0..)
            .take_while(|i| self.contains(&format!("{prefix}{i}{suffix}")))
            .count()
    }

    /// The array called `name`, checked.
    pub(super) fn checked(&self, name: &str, expected: &[usize]) -> Result<&Numbers, EncoderError> {
        let name = || name.to_owned();
        match self.arrays.get(&name()) {
            None => Err(EncoderError::Missing {
                tensor: name(),
                expected: expected.to_vec(),
            }),
            Some((shape, _)) if shape != expected => Err(EncoderError::Shape {
                tensor: name(),
                expected: expected.to_vec(),
                found: shape.clone(),
            }),
            Some((_, values)) => Ok(values),
        }
    }
}

/// Weights that don't make an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncoderError {
    /// The encoder needs it.
    Missing {
        /// Its name.
        tensor: String,
        /// The shape that it should have.
        expected: Vec<usize>,
    },
    /// Its shape is another.
    Shape {
        /// Its name.
        tensor: String,
        /// What the encoder needs.
        expected: Vec<usize>,
        /// What was given.
        found: Vec<usize>,
    },
    /// No part of the encoder.
    Unexpected {
        /// Its name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// No known encoder has tensors of these names.
    Unknown {
        /// How many there are.
        tensors: usize,
        /// The first of them.
        first: String,
    },
}

impl fmt::Display for EncoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { tensor, expected } => {
                write!(
                    f,
                    "tensor `{tensor}` is missing, the encoder needs it as {expected:?}"
                )
            }
            Self::Shape {
                tensor,
                expected,
                found,
            } => {
                write!(
                    f,
                    "tensor `{tensor}` is {found:?}, the encoder needs {expected:?}"
                )
            }
            Self::Unexpected { tensor, found } => {
                write!(f, "tensor `{tensor}` {found:?} is no part of the encoder")
            }
            Self::Unknown { tensors, first } => write!(
                f,
                "{tensors} tensors (`{first}`, ...) of no known encoder: EfficientNet-Lite 0 to 2, ResNet-50 and -101, VGG-16"
            ),
        }
    }
}

impl std::error::Error for EncoderError {}

impl Network {
    /// Name and shape of every array that a file needs, statistics included, in the order of the convolutions.
    pub fn state_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        for layer in self.convolutions() {
            all.push((format!("{}.weight", layer.name), layer.stored_shape()));
            let vectors = match &layer.norm {
                None => vec![format!("{}.bias", layer.name)],
                Some(norm) => ["weight", "bias", "running_mean", "running_var"]
                    .map(|part| format!("{norm}.{part}"))
                    .to_vec(),
            };
            all.extend(vectors.into_iter().map(|name| (name, vec![layer.outputs])));
        }
        all
    }

    /// Whether `state` has every array of this network, and nothing else but what published files have besides.
    ///
    /// # Errors
    /// The first array that is missing or of another shape, else one that the network doesn't have (a classifier's and
    /// counters of batches are passed over).
    pub fn check(&self, state: &StateDict) -> Result<(), EncoderError> {
        let needed = self.state_shapes();
        for (name, shape) in &needed {
            state.checked(name, shape)?;
        }
        let known: HashSet<&str> = needed.iter().map(|(name, _)| name.as_str()).collect();
        let unknown = |name: &str| !passed_over(name) && !known.contains(name);
        match state.iter().find(|(name, ..)| unknown(name)) {
            None => Ok(()),
            Some((name, shape, _)) => Err(EncoderError::Unexpected {
                tensor: name.into(),
                found: shape.to_vec(),
            }),
        }
    }
}

/// What a state dict has besides an encoder: counters, and the layer that names ImageNet's classes.
fn passed_over(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
        || ["_fc.", "fc.", "classifier.6."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Filters from a file's layout to ours.
pub(super) fn from_stored<T: Element>(layer: &Convolution, stored: &Numbers) -> Vec<T> {
    let mut ours = vec![T::ZERO; layer.shape().iter().product()];
    match stored {
        Numbers::Singles(stored) => permute(layer, |theirs, here| {
            ours[here] = T::of(stored[theirs].into());
        }),
        Numbers::Halves(stored) => permute(layer, |theirs, here| {
            ours[here] = T::of_half(stored[theirs]);
        }),
    }
    ours
}

/// Filters from our layout to a file's.
pub(super) fn to_stored(layer: &Convolution, ours: &[f32]) -> Vec<f32> {
    let mut stored = vec![0.0; layer.stored_shape().iter().product()];
    permute(layer, |theirs, here| stored[theirs] = ours[here]);
    stored
}

/// Filters that are moved together; their numbers fill a line of memory.
const FILTERS: usize = 16;

/// Visits every stored number with its place here.
fn permute(layer: &Convolution, mut visit: impl FnMut(usize, usize)) {
    let [kh, kw] = layer.window.kernel;
    let taps = kh * kw;
    let groups = match layer.kind {
        Kind::Grouped(groups) => groups,
        Kind::Depthwise => layer.outputs,
        Kind::Dense | Kind::Linear => 1,
    };
    let (m, seen) = (layer.outputs, layer.inputs / groups);
    // A few filters at a time: written one after the other, they lie far apart here, and each would move a line of memory.
    for first in (0..m).step_by(FILTERS) {
        for channel in 0..seen {
            for tap in 0..taps {
                for filter in first..(first + FILTERS).min(m) {
                    let theirs = (filter * seen + channel) * taps + tap;
                    let here = match layer.kind {
                        Kind::Depthwise => tap * m + filter,
                        _ => {
                            let group = filter / (m / groups);
                            (tap * layer.inputs + group * seen + channel) * m + filter
                        }
                    };
                    visit(theirs, here);
                }
            }
        }
    }
}

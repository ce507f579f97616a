//! TensorBoard event files: the scalars of steps and evaluations.
//!
//! A file is a sequence of TFRecords (length, its checksum, bytes, their checksum), each a
//! protobuf `Event`. Source: `tensorflow/core/util/event.proto`, `lib/io/record_writer.cc`. The
//! crates that write these (tensorboard-rs, tfrecord) are unmaintained and pull in image codecs,
//! so the few messages stand here; protobuf and CRC come from `prost` and `crc32c`.
//!
//! A resumed run starts a new file, whose first record tells TensorBoard to forget the steps that
//! will be done again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::event::Event;
use crate::{TrainError, clock};

/// `tensorflow.Event`, the fields that are written.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session: Option<Session>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

/// `tensorflow.Summary.Value` with `simple_value`.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    value: Option<f32>,
}

/// `tensorflow.SessionLog`; status 1 is START.
#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An open event file.
#[derive(Debug)]
pub(crate) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new event file in `folder` of a run that goes on after `iteration` steps.
    pub(crate) fn create(folder: &Path, host: &str, iteration: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        let now_s = clock::unix_seconds();
        // TensorBoard reads files in the order of their names.
        let name = format!("events.out.tfevents.{now_s:017.6}.{host}");
        let path = folder.join(name);
        let file = File::create(&path).map_err(TrainError::write(&path))?;
        let mut board = Self { path, file };
        board.record(Record {
            file_version: Some("brain.Event:2".into()),
            ..Record::default()
        })?;
        if iteration > 0 {
            board.record(Record {
                step: iteration as i64 + 1,
                session: Some(Session { status: 1 }),
                ..Record::default()
            })?;
        }
        Ok(board)
    }

    /// Writes the numbers of an event that has any.
    pub(crate) fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let scalars = scalars(event);
        if scalars.is_empty() {
            return Ok(());
        }
        let value = |(tag, value): (String, f64)| Scalar {
            tag,
            value: Some(value as f32),
        };
        self.record(Record {
            step: event.iteration() as i64,
            summary: Some(Summary {
                values: scalars.into_iter().map(value).collect(),
            }),
            ..Record::default()
        })
    }

    fn record(&mut self, mut record: Record) -> Result<(), TrainError> {
        record.wall_time = clock::unix_seconds();
        self.file
            .write_all(&frame(&record.encode_to_vec()))
            .map_err(TrainError::write(&self.path))
    }
}

fn scalars(event: &Event) -> Vec<(String, f64)> {
    let named = |pairs: &[(&str, f64)]| pairs.iter().map(|&(n, v)| (n.to_owned(), v)).collect();
    match event {
        Event::Step {
            total_cost,
            reg_cost,
            ppl2,
            smooth_ppl2,
            smooth_reward,
            sampled,
            learning_rate,
            seconds,
            ..
        } => {
            let mut all: Vec<(String, f64)> = named(&[
                ("train/cost", *total_cost),
                ("train/reg_cost", *reg_cost),
                ("train/ppl2", *ppl2),
                ("train/smooth_ppl2", *smooth_ppl2),
                ("train/learning_rate", *learning_rate),
                ("train/seconds_per_batch", *seconds),
            ]);
            let rewards = [
                ("train/reward", sampled.as_ref().map(|s| s.reward)),
                ("train/smooth_reward", *smooth_reward),
            ];
            all.extend(
                rewards
                    .into_iter()
                    .filter_map(|(n, v)| Some((n.to_owned(), v?))),
            );
            all
        }
        Event::Evaluated { ppl2, scores, .. } => {
            let mut all: Vec<(String, f64)> = named(&[("val/ppl2", *ppl2)]);
            all.extend(scores.iter().map(|(n, &v)| (format!("val/{n}"), v)));
            all
        }
        _ => Vec::new(),
    }
}

/// A TFRecord.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked(bytes).to_le_bytes());
    record
}

/// The checksum of a checksum would be a bad one, so TensorFlow masks it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksums are those of `masked_crc32c` in Python's tensorboard 2.20
    /// (`tensorboard.compat.tensorflow_stub.pywrap_tensorflow`).
    #[test]
    fn the_version_record_has_known_bytes() {
        let record = Record {
            file_version: Some("brain.Event:2".into()),
            ..Record::default()
        };
        let bytes = frame(&record.encode_to_vec());
        assert_eq!(&bytes[..8], [15, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[12..14], [0x1a, 13]);
        assert_eq!(&bytes[14..27], b"brain.Event:2");
        assert_eq!(bytes.len(), 12 + 15 + 4);
        assert_eq!(hex(&bytes[8..12]), LENGTH_CHECKSUM);
        assert_eq!(hex(&bytes[27..]), BYTES_CHECKSUM);
    }

    const LENGTH_CHECKSUM: &str = "6d532b09";
    const BYTES_CHECKSUM: &str = "fc985129";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

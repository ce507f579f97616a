//! Pickles and NeuralTalk's checkpoints in them: no panic, and every array has its shape.
#![no_main]

use std::path::Path;

use checkpoint::legacy::{NeuralTalkCheckpoint, Pickle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(pickle) = Pickle::parse(data) {
        for (key, value) in pickle.root().pairs().into_iter().flatten() {
            let _ = (key.as_str(), value.as_f64(), value.as_i64());
            if let Some(array) = value.as_array() {
                // A product of 0 may have any other sizes beside it.
                let count: Option<usize> = array
                    .shape()
                    .iter()
                    .try_fold(1usize, |n, &s| n.checked_mul(s));
                assert_eq!(array.values().len(), count.unwrap_or(0));
            }
        }
    }
    if let Ok(read) = NeuralTalkCheckpoint::parse(data, Path::new("fuzz")) {
        let checkpoint = read.into_checkpoint();
        let mut bytes = Vec::new();
        checkpoint::write_to(&checkpoint, &mut bytes).expect("an imported checkpoint is whole");
    }
});

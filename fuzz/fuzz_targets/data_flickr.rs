//! Any bytes as a Flickr token file and its three split lists: an error with a hint, or pictures in their splits.
//!
//! The four files lie one after another, each but the last ended by a byte 0, so that a list alone is a seed too.
#![no_main]

use std::path::Path;

use data::check::{CheckOptions, check};
use data::{Dataset, SplitRule};
use libfuzzer_sys::fuzz_target;

const LISTS: [&str; 3] = ["f.trainImages.txt", "f.devImages.txt", "f.testImages.txt"];

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("folder");
    let mut files = bytes.splitn(1 + LISTS.len(), |&byte| byte == 0);
    let tokens = files.next().unwrap_or_default();
    write(folder.path(), "f.token.txt", tokens);
    let lists: Vec<&[u8]> = files.collect();
    for (name, list) in LISTS.into_iter().zip(&lists) {
        write(folder.path(), name, list);
    }
    match Dataset::open_with(folder.path(), SplitRule::default()) {
        Err(error) => {
            assert!(!error.is_io());
            error.to_string();
            error.hint();
        }
        Ok(dataset) => {
            check(&dataset, None, &CheckOptions::default());
        }
    }
});

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).expect("file");
}

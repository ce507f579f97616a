//! The folder `malformed/`: each file with the whole message that a user sees.

use std::path::Path;

use data::{DataError, Dataset, Features};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/malformed");

fn open(name: &str) -> DataError {
    let path = Path::new(FOLDER).join(name);
    let features = [".mat", ".npy", ".safetensors"];
    if features.iter().any(|ending| name.ends_with(ending)) {
        Features::open(&path).expect_err(name)
    } else {
        Dataset::open(&path).expect_err(name)
    }
}

#[test]
fn every_malformed_file_has_its_message() {
    let mut names: Vec<String> = std::fs::read_dir(FOLDER)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    let mut messages = String::new();
    for name in &names {
        if name == "messages.txt" {
            continue;
        }
        let error = open(name);
        assert!(!error.is_io(), "{name}: {error}");
        messages += &error.to_string().replace(&format!("{FOLDER}/"), "");
        messages += "\n";
    }
    let path = Path::new(FOLDER).join("messages.txt");
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        messages, want,
        "if the new messages are better, copy them to messages.txt:\n{messages}"
    );
}

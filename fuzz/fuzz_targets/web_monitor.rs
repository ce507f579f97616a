//! Any bytes as a run's events, its configuration and a status file: rows that say what is wrong, and never the same
//! run twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("folder");
    let run = folder.path().join("run");
    std::fs::create_dir(&run).expect("folder");
    // The same bytes as each kind of file, so that any of them is a seed as it is.
    for file in [run.join("config.toml"), run.join("events.jsonl"), folder.path().join("h_status.json")] {
        std::fs::write(file, bytes).expect("file");
    }
    let shown = web::monitor::now(vec![folder.path().to_owned()]);
    assert_eq!(shown["runs"].as_array().map(Vec::len), Some(2));
    shown.to_string();
});

//! Any bytes as a feature file: an error with a hint, or a matrix of which every row can be read.
#![no_main]

use data::Features;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Features are mapped or streamed from a file, so one is needed; one for each process, for parallel jobs.
    let name = format!("neuraltalk-fuzz-{}.feats", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    match Features::open(&path) {
        Err(error) => {
            error.to_string();
            error.hint();
        }
        Ok(features) => {
            for imgid in 0..features.len() as u32 {
                let row = features.row(imgid).expect("a row of the matrix");
                assert_eq!(row.len(), features.dimension());
            }
            assert_eq!(features.row(features.len() as u32), None);
        }
    }
});

//! A saved corpus of document frequencies from any bytes: an error, or counts that are read back as they were.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics::document_frequency::DocumentFrequencies;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frequencies) = DocumentFrequencies::read(bytes) {
        let mut file = Vec::new();
        frequencies.write(&mut file).expect("memory");
        assert_eq!(
            DocumentFrequencies::read(file.as_slice()).expect("what was written"),
            frequencies
        );
    }
});

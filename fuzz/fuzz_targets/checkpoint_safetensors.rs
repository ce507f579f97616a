//! Our own checkpoints: whatever loads can be written again, and gives the same bytes each time.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(checkpoint) = checkpoint::load_from(data, data.len() as u64, Path::new("fuzz")) {
        let mut bytes = Vec::new();
        checkpoint::write_to(&checkpoint, &mut bytes).expect("a loaded checkpoint is whole");
        let length = bytes.len() as u64;
        let again =
            checkpoint::load_from(&bytes[..], length, Path::new("fuzz")).expect("our own file");
        let mut twice = Vec::new();
        checkpoint::write_to(&again, &mut twice).expect("a loaded checkpoint is whole");
        assert_eq!(bytes, twice);
        checkpoint::inspect(&again);
    }
});

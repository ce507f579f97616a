//! PyTorch's files, zipped and not: no panic, and every tensor has as many numbers as its shape says.
#![no_main]

use std::path::Path;

use checkpoint::legacy::read_torch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match read_torch(data, Path::new("fuzz")) {
    Err(error) => {
        error.to_string();
        error.hint();
    }
    Ok(state) => {
        for (_, shape, values) in state.iter() {
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
});

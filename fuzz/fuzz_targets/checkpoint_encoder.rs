//! Any bytes as a file of an encoder's weights, `.safetensors`, PyTorch's or Caffe's: an error with a hint, or an
//! encoder that can be built.
#![no_main]

use checkpoint::EncoderPart;
use libfuzzer_sys::fuzz_target;
use tensor::Device;

fuzz_target!(|bytes: &[u8]| {
    // Caffe's files are told by their ending. One file for each process, for parallel jobs.
    for ending in ["weights", "caffemodel"] {
        let name = format!("neuraltalk-fuzz-{}.{ending}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        match EncoderPart::load(&path) {
            Err(error) => {
                error.to_string();
                error.hint();
            }
            Ok(part) => drop(part.build(&Device::cpu(1))),
        }
    }
});

//! Caffe's networks: no panic, and what is read can be built.
#![no_main]

use std::path::Path;

use checkpoint::legacy::read_caffe;
use libfuzzer_sys::fuzz_target;
use models::encoder::Encoder;
use tensor::Device;

fuzz_target!(|data: &[u8]| {
    if let Ok((config, state)) = read_caffe(data, Path::new("fuzz")) {
        assert!(config.is_known());
        Encoder::<f32>::from_state(config.network(), &state, &Device::cpu(1))
            .expect("a network that was read is whole");
    }
});

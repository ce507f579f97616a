//! Any bytes as a picture: an error with a hint, or as many pixels as its sizes say.
#![no_main]

use data::picture::{DecodeLimits, decode};
use libfuzzer_sys::fuzz_target;

// `decode` catches panics of the formats' decoders; libFuzzer's hook would end the process before it can.
fuzz_target!(init: drop(std::panic::take_hook()), |bytes: &[u8]| {
    for allow_truncated in [false, true] {
        let limits = DecodeLimits {
            max_pixels: 1 << 20,
            max_bytes: 64 << 20,
            allow_truncated,
            ..DecodeLimits::default()
        };
        match decode(bytes, &limits) {
            Err(error) => {
                error.to_string();
                error.hint();
            }
            Ok(picture) => {
                assert!(0 < picture.width && 0 < picture.height);
                assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
            }
        }
    }
});

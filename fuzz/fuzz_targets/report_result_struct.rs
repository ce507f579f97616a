//! Any bytes as a `result_struct.json`: an error or a value that is written and read back equal.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use report::{bleu_files, parse_result_struct, render_html, render_result_struct};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz");
    match parse_result_struct(bytes, path) {
        Err(error) => {
            error.to_string();
            error.hint();
        }
        Ok(result) => {
            let text = render_result_struct(&result).expect("JSON holds finite numbers only");
            assert_eq!(
                parse_result_struct(text.as_bytes(), path).expect("our own text"),
                result
            );
            render_html(&result);
            if let Ok(files) = bleu_files(&result) {
                assert_eq!(
                    files.output.split('\n').count(),
                    result.imgblobs.len().max(1)
                );
            }
        }
    }
});

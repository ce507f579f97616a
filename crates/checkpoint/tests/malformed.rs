//! The malformed files beside this one: each is refused with the message that `expected.json`
//! has for it. A bug report with a file becomes a new line in `generate.py`.

use std::path::Path;

use checkpoint::load_any;
use serde_json::{Map, Value};

#[test]
fn every_malformed_file_is_refused_with_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let expected = std::fs::read(folder.join("expected.json")).expect("expected.json");
    let expected: Map<String, Value> = serde_json::from_slice(&expected).expect("expected.json");
    for (name, message) in &expected {
        let message = message.as_str().expect("a message");
        match (load_any(&folder.join(name)), message) {
            (Ok(_), "") => {}
            (Ok(_), _) => panic!("{name} was read"),
            (Err(error), _) => {
                let found = error.to_string();
                assert!(
                    !message.is_empty() && found.contains(message),
                    "{name}: {found}\ninstead of {message}"
                );
                assert!(found.contains(name.as_str()), "{name}: {found}");
            }
        }
    }
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        let known = expected.contains_key(name) || ["generate.py", "expected.json"].contains(&name);
        assert!(known, "{name} is not in expected.json");
    }
}

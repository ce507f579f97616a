//! The programs that serve the pages, and the ones that make what the pages show.
//!
//! Here: starting and ending them. Not here: the browser (`lib.rs`).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that serves a page, until it is dropped.
pub struct Served {
    pub address: String,
    program: Child,
}

/// Starts it and waits for the line that names its address.
pub fn serve(program: PathBuf, words: &[&str]) -> Served {
    let mut child = Command::new(&program)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("`{}`: {error}; build it first", program.display()));
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    let address = address
        .unwrap_or_else(|| panic!("no address in `{line}`"))
        .to_owned();
    Served {
        address,
        program: child,
    }
}

impl Served {
    /// Ends it and waits until it has ended.
    pub fn end(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// The project's own program.
pub fn neuraltalk() -> PathBuf {
    built().join("neuraltalk")
}

/// One of its examples.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// Where `cargo build` put them: `NEURALTALK_BUILT`, else the checkout's debug build.
fn built() -> PathBuf {
    let usual = || checkout().join("target/debug");
    std::env::var_os("NEURALTALK_BUILT").map_or_else(usual, PathBuf::from)
}

/// The root of the repository.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program to its end, which must be a good one.
pub fn run(words: &[&str]) {
    let output = Command::new(neuraltalk())
        .args(words)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {text}");
}

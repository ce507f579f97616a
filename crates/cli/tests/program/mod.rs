//! Runs the program as a user does and says what came out.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// What came out.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// `neuraltalk LINE` in the folder `dir`; words are separated by blanks.
#[allow(dead_code)] // each test file uses its own part of this module
pub fn run_in(dir: &Path, line: &str) -> Ran {
    run_words(dir, &line.split_whitespace().collect::<Vec<_>>(), "")
}

/// The same with words given one by one, and standard input.
pub fn run_words(dir: &Path, words: &[&str], input: &str) -> Ran {
    let output = Command::cargo_bin("neuraltalk")
        .expect("the program was built")
        .current_dir(dir)
        .args(words)
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .write_stdin(input)
        .output()
        .expect("the program starts");
    ran(output)
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("the program was not killed"),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

impl Ran {
    /// Everything in one text, for snapshots.
    #[allow(dead_code)]
    pub fn all(&self) -> String {
        format!(
            "exit code {}\n--- out ---\n{}--- err ---\n{}",
            self.code, self.out, self.err
        )
    }

    /// The output of a run that must have gone well.
    #[allow(dead_code)]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

/// The folder of frozen inputs and outputs of the original programs, or why it is not there.
#[allow(dead_code)]
pub fn shared(inside: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("NEURALTALK_SHARED").map_or_else(default, PathBuf::from);
    let path = root.join(inside);
    if !path.exists() {
        println!("skipped: `{}` is not there", path.display());
        return None;
    }
    Some(path.canonicalize().expect("an existing path"))
}

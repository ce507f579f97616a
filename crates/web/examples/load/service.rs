//! The program under load: as a service, and captioning the same pictures without one.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// `PROGRAM serve` on a free port.
pub struct Service {
    child: Child,
    pub url: String,
}

impl Service {
    pub fn start(program: &Path, words: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(program)
            .args(["serve", "--port", "0", "--log", "quiet"])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line)?;
        let url = line.split(' ').find(|word| word.starts_with("http://"));
        let url = url.map(str::to_owned);
        let service = Self {
            child,
            url: url.clone().unwrap_or_default(),
        };
        match url {
            Some(_) => Ok(service),
            None => Err(format!("no address in `{}`", line.trim()).into()),
        }
    }

    /// Whether SIGTERM ends it with exit code 0.
    pub fn ends_well(mut self) -> Result<bool, Box<dyn Error>> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing to do for one that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Captions a second of `PROGRAM caption` on these files, without the time that it takes to start.
pub fn offline_rate(program: &Path, files: &[PathBuf]) -> Result<f64, Box<dyn Error>> {
    let (start, all) = (seconds(program, &files[..1])?, seconds(program, files)?);
    Ok((files.len() - 1) as f64 / (all - start))
}

fn seconds(program: &Path, files: &[PathBuf]) -> Result<f64, Box<dyn Error>> {
    let mut list = tempfile::NamedTempFile::new()?;
    for file in files {
        writeln!(list, "{}", file.canonicalize()?.display())?;
    }
    let start = Instant::now();
    let done = Command::new(program)
        .arg("caption")
        .arg(format!("@{}", list.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    match done.success() {
        true => Ok(start.elapsed().as_secs_f64()),
        false => Err(format!("`caption` ended with {done}").into()),
    }
}

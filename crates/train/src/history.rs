//! `events.jsonl`: one JSON object a line, in the order in which things happened.
//!
//! Here: appending, and on resume cutting off what the resumed run will do again, so that the file
//! tells what the final weights were really trained with. Not here: the events (`event.rs`).

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::TrainError;
use crate::event::Event;

/// An open `events.jsonl`.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens the file and keeps the lines of the first `iteration` steps; none if it is 0.
    pub(crate) fn open(path: &Path, iteration: u64) -> Result<Self, TrainError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(TrainError::write(path))?;
        let kept = match iteration {
            0 => 0,
            _ => kept_bytes(&file, iteration).map_err(TrainError::read(path))?,
        };
        file.set_len(kept)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(TrainError::write(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends a line and hands it to the system: it survives a kill of this process.
    pub(crate) fn append(&mut self, event: &Event) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(event).expect("events are numbers and strings");
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(TrainError::write(&self.path))
    }

    /// Returns once all lines survive a power cut; before a checkpoint that relies on them.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::write(&self.path))
    }
}

/// Length of the leading lines that are whole and not beyond `iteration`. An end of the run is
/// not kept: the run goes on.
fn kept_bytes(file: &File, iteration: u64) -> io::Result<u64> {
    let (mut reader, mut line, mut kept) = (BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        let keep = match serde_json::from_slice::<Event>(&line) {
            Ok(Event::Finished { .. } | Event::Interrupted { .. } | Event::Diverged { .. }) => {
                false
            }
            Ok(event) => line.ends_with(b"\n") && event.iteration() <= iteration,
            Err(_) => false, // cut off by a kill or a full disk
        };
        if !keep {
            return Ok(kept);
        }
        kept += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(iteration: u64) -> Event {
        Event::Warning {
            iteration,
            message: "m".into(),
        }
    }

    #[test]
    fn what_will_be_done_again_and_half_lines_are_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let mut history = History::open(&path, 0).expect("new");
        for iteration in 1..=5 {
            history.append(&step(iteration)).expect("appended");
        }
        history
            .file
            .write_all(b"{\"event\":\"warn")
            .expect("a half line");
        drop(history);
        let whole = std::fs::read_to_string(&path).expect("read");
        let lines = |n: usize| {
            whole
                .lines()
                .take(n)
                .map(|l| format!("{l}\n"))
                .collect::<String>()
        };
        for (iteration, kept) in [(9, 5), (5, 5), (3, 3), (0, 0)] {
            drop(History::open(&path, iteration).expect("opened"));
            assert_eq!(
                std::fs::read_to_string(&path).expect("read"),
                lines(kept),
                "{iteration}"
            );
        }
        let mut history = History::open(&path, 3).expect("opened");
        history.append(&step(1)).expect("appended");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), lines(1));
    }

    #[test]
    fn an_end_is_not_kept_when_the_run_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let mut history = History::open(&path, 0).expect("new");
        history.append(&step(1)).expect("appended");
        history
            .append(&Event::Interrupted { iteration: 1 })
            .expect("appended");
        drop(history);
        drop(History::open(&path, 1).expect("opened"));
        assert_eq!(
            std::fs::read_to_string(&path)
                .expect("read")
                .lines()
                .count(),
            1
        );
    }

    #[test]
    fn every_event_comes_back_from_its_line() {
        let event = Event::Diverged {
            iteration: 3,
            cost: None,
            first_cost: Some(0.1 + 0.2),
            message: "\"quoted\"\n".into(),
        };
        let line = serde_json::to_string(&event).expect("text");
        assert!(
            line.starts_with(r#"{"event":"diverged","iteration":3,"cost":null"#),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<Event>(&line).expect("back"), event);
    }
}

//! Where runs are: folders with `config.toml` or `events.jsonl`, and NeuralTalk's status files.
//!
//! Here: the walk. Not here: what is in the files. Symbolic links below a root are not followed, so
//! that no circle is entered; hidden folders are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder of ours.
    Run,
    /// `<host>_status.json`.
    Status,
}

/// Folders below a root that are entered; `runs/2026/sweep/7` is four.
const DEEPEST: usize = 8;

/// Folders that are looked at in one walk: a monitor pointed at `/` must not read a disk forever.
const MOST_FOLDERS: usize = 20_000;

/// All runs below `roots`, by the name that the page shows: their path as typed.
pub(crate) fn runs(roots: &[PathBuf]) -> BTreeMap<String, (Kind, PathBuf)> {
    let mut found = Found::default();
    for root in roots {
        if root.is_file() {
            found.add(Kind::Status, root);
        } else {
            found.folder(root, DEEPEST);
        }
    }
    found.runs
}

#[derive(Default)]
struct Found {
    runs: BTreeMap<String, (Kind, PathBuf)>,
    folders: usize,
}

impl Found {
    fn add(&mut self, kind: Kind, path: &Path) {
        let name = path.to_string_lossy().replace('\\', "/");
        self.runs.insert(name, (kind, path.to_owned()));
    }

    fn folder(&mut self, folder: &Path, deeper: usize) {
        self.folders += 1;
        if MOST_FOLDERS < self.folders {
            return;
        }
        // A folder that vanished or can't be read has no runs to show.
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let in_status = folder.file_name().is_some_and(|name| name == "status");
        let (mut folders, mut statuses, mut is_run) = (Vec::new(), Vec::new(), false);
        for entry in entries.flatten() {
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else {
                continue;
            };
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if ["config.toml", "events.jsonl"].contains(&name) {
                is_run = true;
            } else if name.ends_with("_status.json") || (in_status && name.ends_with(".json")) {
                statuses.push(entry.path());
            }
        }
        if is_run {
            // Its own status file tells the same once more.
            return self.add(Kind::Run, folder);
        }
        for status in statuses {
            self.add(Kind::Status, &status);
        }
        if 0 < deeper {
            for inside in folders {
                self.folder(&inside, deeper - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn runs_at_any_depth_and_status_files_but_no_run_twice() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, "x").expect("written");
        };
        write("runs/a/config.toml");
        write("runs/a/status/host_status.json");
        write("runs/sweep/1/events.jsonl");
        write("runs/.hidden/config.toml");
        write("old/status/visionlab1.stanford.edu_status.json");
        write("old/status/notes.json");
        write("old/status/readme.txt");
        write("old/other.json");
        let names = |roots: &[PathBuf]| -> Vec<String> {
            let prefix = root.path().to_string_lossy().into_owned() + "/";
            let strip = |name: &String| name.strip_prefix(&prefix).unwrap_or(name).to_owned();
            runs(roots).keys().map(strip).collect()
        };
        assert_eq!(
            names(&[root.path().into()]),
            [
                "old/status/notes.json",
                "old/status/visionlab1.stanford.edu_status.json",
                "runs/a",
                "runs/sweep/1"
            ]
        );
        let file = root.path().join("old/other.json");
        assert_eq!(
            names(&[file, root.path().join("nothing")]),
            ["old/other.json"]
        );
        let mut deep = "deep".to_owned();
        deep.push_str(&"/d".repeat(DEEPEST + 1));
        write(&format!("{deep}/config.toml"));
        assert_eq!(names(&[root.path().join("deep")]), [""; 0]);
    }
}

//! All runs that are known, always as new as the last look, and who waits for changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::find::{self, Kind};
use super::row::{Row, Sample};
use super::run::Run;
use super::series::{Curves, Series};
use super::status::Status;
use crate::picture_file;

/// A look for new folders is made at every so many looks at known ones: a walk costs more.
const WALK_EVERY: u64 = 4;

enum Source {
    Run(Box<Run>),
    Status(Box<Status>),
}

struct Entry {
    source: Source,
    /// The version of the board in which the row changed last, and how it looked then.
    changed: u64,
    shown: Option<Row>,
}

#[derive(Default)]
struct Entries {
    runs: BTreeMap<String, Entry>,
    looks: u64,
}

/// All runs.
pub(crate) struct Board {
    roots: Vec<PathBuf>,
    entries: RwLock<Entries>,
    version: watch::Sender<u64>,
}

/// What changed after a version.
pub(crate) struct Changes {
    /// Ask for what comes after this one next.
    pub(crate) version: u64,
    /// `{runs: [...], gone or all: [ids], now_s}`; nothing where nothing changed.
    pub(crate) data: Value,
}

impl Board {
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            entries: RwLock::default(),
            version: watch::Sender::new(0),
        }
    }

    /// Looks at the files of all runs, now and then for new ones, and tells who waits.
    pub(crate) fn look(&self) {
        let mut entries = self.entries.write().expect(POISONED);
        let next = *self.version.borrow() + 1;
        let mut changed = false;
        if entries.looks.is_multiple_of(WALK_EVERY) {
            changed |= self.walk(&mut entries);
        }
        entries.looks += 1;
        let now_s = now_s();
        for entry in entries.runs.values_mut() {
            entry.look(now_s);
            if entry.shown.as_ref() != Some(entry.row()) {
                entry.shown = Some(entry.row().clone());
                entry.changed = next;
                changed = true;
            }
        }
        drop(entries);
        if changed {
            self.version.send_replace(next);
        }
    }

    fn walk(&self, entries: &mut Entries) -> bool {
        let found = find::runs(&self.roots);
        let before = entries.runs.len();
        entries.runs.retain(|id, _| found.contains_key(id));
        let mut changed = entries.runs.len() != before;
        for (id, (kind, path)) in found {
            changed |= !entries.runs.contains_key(&id);
            entries.runs.entry(id.clone()).or_insert_with(|| Entry {
                source: match kind {
                    Kind::Run => Source::Run(Box::new(Run::new(&id, &path))),
                    Kind::Status => Source::Status(Box::new(Status::new(&id, &path))),
                },
                changed: 0,
                shown: None,
            });
        }
        changed
    }

    /// Rows that changed after `version`, and the ids of all that are there.
    pub(crate) fn since(&self, version: u64) -> Changes {
        let entries = self.entries.read().expect(POISONED);
        let new = entries.runs.values().filter(|e| version < e.changed);
        let rows: Vec<&Row> = new.filter_map(|e| e.shown.as_ref()).collect();
        let all: Vec<&String> = entries.runs.keys().collect();
        let roots: Vec<_> = self.roots.iter().map(|r| r.to_string_lossy()).collect();
        Changes {
            version: *self.version.borrow(),
            data: json!({"runs": rows, "all": all, "roots": roots, "now_s": now_s()}),
        }
    }

    /// Tells when there is a newer version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The curves of a run; none if there is no such run.
    pub(crate) fn curves(&self, id: &str, from: f64, to: f64, most: usize) -> Option<Curves> {
        let entries = self.entries.read().expect(POISONED);
        Some(entries.runs.get(id)?.series().curves(from, to, most))
    }

    /// The captions of a run's last evaluation.
    pub(crate) fn samples(&self, id: &str) -> Option<Vec<Sample>> {
        let entries = self.entries.read().expect(POISONED);
        match &entries.runs.get(id)?.source {
            Source::Run(run) => Some(run.samples.clone()),
            Source::Status(_) => Some(Vec::new()),
        }
    }

    /// The file of the n-th of these.
    pub(crate) fn picture(&self, id: &str, n: usize) -> Option<PathBuf> {
        let entries = self.entries.read().expect(POISONED);
        match &entries.runs.get(id)?.source {
            Source::Run(run) => picture_file::find(&run.samples.get(n)?.path, &run.pictures),
            Source::Status(_) => None,
        }
    }
}

/// A panic while the lock was held would be a bug of this file; nothing can be shown then.
const POISONED: &str = "no look at the runs panicked";

impl Entry {
    fn look(&mut self, now_s: f64) {
        match &mut self.source {
            Source::Run(run) => {
                run.look();
                run.row.age(now_s);
            }
            Source::Status(status) => {
                status.look();
                status.row.age(now_s);
            }
        }
    }

    fn row(&self) -> &Row {
        match &self.source {
            Source::Run(run) => &run.row,
            Source::Status(status) => &status.row,
        }
    }

    fn series(&self) -> &Series {
        match &self.source {
            Source::Run(run) => &run.series,
            Source::Status(status) => &status.series,
        }
    }
}

fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

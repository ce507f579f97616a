//! A run's folder through its life, and the files that something went wrong with.

use std::fs::{self, OpenOptions};
use std::io::Write;

use train::{Event, Kind, Reason, SampleCaption};

use super::*;

struct Folder {
    folder: tempfile::TempDir,
    run: Run,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().expect("a folder");
    let run = Run::new("runs/a", folder.path());
    Folder { folder, run }
}

fn step(iteration: u64, ppl2: f64) -> Event {
    Event::Step {
        iteration,
        epoch: iteration as f64 / 10.0,
        loss_cost: 5.0,
        reg_cost: 0.5,
        total_cost: 5.5,
        ppl2,
        smooth_ppl2: 30.0,
        learning_rate: 1e-3,
        gradient_norm: None,
        captions: 100,
        seconds: 0.5,
        sampled: None,
        smooth_reward: None,
    }
}

fn started(iteration: u64) -> Event {
    Event::Started {
        iteration,
        resumed: 0 < iteration,
        run: "runs/a".into(),
        total_iterations: 20,
        iterations_per_epoch: 10,
        max_epochs: 2,
        train_images: 5,
        train_sentences: 25,
        val_images: 2,
        vocabulary: 30,
        feature: 4,
        parameters: 1000,
        threads: 2,
    }
}

fn evaluated(iteration: u64, ppl2: f64, cider: f64) -> Event {
    Event::Evaluated {
        iteration,
        epoch: iteration as f64 / 10.0,
        split: "val".into(),
        ppl2,
        best: ppl2,
        improved: true,
        scores: [("cider".to_owned(), cider)].into(),
        samples: vec![SampleCaption {
            imgid: 7,
            path: "7.png".into(),
            caption: "a dog".into(),
            log_prob: -3.5,
        }],
        seconds: 1.0,
    }
}

impl Folder {
    fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(file), bytes).expect("written");
    }

    fn append(&self, bytes: &[u8]) {
        let path = self.folder.path().join("events.jsonl");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("open");
        file.write_all(bytes).expect("written");
    }

    fn tell(&self, event: &Event) {
        self.append((serde_json::to_string(event).expect("text") + "\n").as_bytes());
    }

    fn look(&mut self) -> &Row {
        self.run.look();
        &self.run.row
    }
}

/// The trainer's own events, so that a renamed field there fails here.
#[test]
fn from_the_start_to_the_end() {
    let mut folder = folder();
    folder.write(
        "config.toml",
        train::Options {
            dataset: "/data/flickr8k/dataset.json".into(),
            ..train::Options::default()
        }
        .to_toml()
        .as_bytes(),
    );
    let row = folder.look();
    assert_eq!((row.state, &row.problem), (State::Starting, &None));
    assert_eq!(row.dataset.as_deref(), Some("dataset"));
    assert_eq!(row.params["hidden-size"], 256);
    assert_eq!(folder.run.pictures, [PathBuf::from("/data/flickr8k")]);
    folder.tell(&started(0));
    for i in 1..=10 {
        folder.tell(&step(i, 20.0 + i as f64));
    }
    let row = folder.look();
    assert_eq!(row.state, State::Running);
    assert_eq!(
        (row.iteration, row.total_iterations),
        (Some(10.0), Some(20.0))
    );
    assert_eq!((row.epoch, row.max_epochs), (Some(1.0), Some(2.0)));
    assert_eq!((row.train_ppl, row.smooth_ppl), (Some(30.0), Some(30.0)));
    assert_eq!(row.seconds_per_batch, Some(0.5));
    assert_eq!(row.captions_per_second, Some(200.0));
    assert_eq!(row.eta_s, Some(5.0));
    folder.tell(&evaluated(10, 18.0, 0.4));
    folder.tell(&Event::Saved {
        iteration: 10,
        kind: Kind::Best,
        path: "best.safetensors".into(),
        seconds: 0.1,
    });
    folder.tell(&evaluated(11, 19.0, 0.3));
    let row = folder.look();
    assert_eq!((row.val_ppl, row.best_val_ppl), (Some(19.0), Some(18.0)));
    assert_eq!(row.scores["cider"], 0.4);
    assert_eq!(folder.run.samples[0].caption, "a dog");
    folder.tell(&Event::Warning {
        iteration: 11,
        message: "m".into(),
    });
    folder.tell(&Event::Finished {
        iteration: 11,
        reason: Reason::MaxEpochs,
        best: Some(18.0),
    });
    let row = folder.look();
    assert_eq!((row.state, row.eta_s), (State::Finished, None));
    assert_eq!(row.problem.as_deref(), Some("m"));
}

/// At whatever byte the writer was interrupted, the reader sees the whole lines before it.
#[test]
fn a_line_that_is_being_written_is_waited_for() {
    let whole = [started(0), step(1, 2.0), step(2, 3.0)]
        .map(|event| serde_json::to_string(&event).expect("text") + "\n")
        .concat();
    let last = whole.trim_end().rfind('\n').expect("lines") + 1;
    for cut in last..whole.len() {
        let mut folder = folder();
        folder.write("config.toml", b"seed = 1");
        folder.append(&whole.as_bytes()[..cut]);
        let row = folder.look();
        assert_eq!((row.iteration, &row.problem), (Some(1.0), &None), "{cut}");
        folder.append(&whole.as_bytes()[cut..]);
        assert_eq!(folder.look().iteration, Some(2.0), "{cut}");
    }
}

#[test]
fn a_resumed_run_is_read_from_its_beginning() {
    let mut folder = folder();
    folder.write("config.toml", b"");
    folder.tell(&started(0));
    for i in 1..=9 {
        folder.tell(&step(i, 20.0));
    }
    folder.tell(&Event::Interrupted { iteration: 9 });
    assert_eq!(folder.look().state, State::Interrupted);
    // Cut to step 4 and longer than before when it is looked at again.
    folder.write("events.jsonl", b"");
    folder.tell(&started(0));
    for i in 1..=4 {
        folder.tell(&step(i, 20.0));
    }
    folder.tell(&started(4));
    for i in 5..=12 {
        folder.tell(&step(i, 99.0));
    }
    let row = folder.look();
    assert_eq!((row.state, row.iteration), (State::Running, Some(12.0)));
    let curves = folder.run.series.curves(0.0, 1e9, 1000);
    let iterations: Vec<f64> = (1..=12).map(f64::from).collect();
    assert_eq!(curves.iteration, iterations);
    // A shorter file than before.
    folder.write("events.jsonl", b"");
    folder.tell(&started(0));
    assert_eq!(folder.look().iteration, Some(0.0));
    assert_eq!(folder.run.series.points.len(), 0);
}

#[test]
fn nulls_damage_and_missing_files_are_shown_and_do_not_hide_the_rest() {
    let mut folder = folder();
    let row = folder.look();
    let problem = row.problem.clone().expect("no config");
    assert!(problem.starts_with("cannot read config.toml"), "{problem}");
    folder.write("config.toml", b"hidden-size = \"25");
    let problem = folder.look().problem.clone().expect("half a file");
    assert!(problem.contains("half-written or damaged"), "{problem}");
    std::thread::sleep(std::time::Duration::from_millis(20));
    folder.write("config.toml", b"hidden-size = 256");
    assert_eq!(folder.look().problem, None);
    folder.tell(&started(0));
    folder.append(b"\x00\xff garbage\n[1,2]\n\"text\"\n");
    folder.tell(&step(1, f64::NAN));
    let row = folder.look();
    assert_eq!((row.iteration, row.train_ppl), (Some(1.0), None));
    let problem = row.problem.clone().expect("damaged lines");
    assert!(problem.contains("line 4"), "{problem}");
    folder.tell(&Event::Diverged {
        iteration: 1,
        cost: None,
        first_cost: None,
        message: "the cost is no number".into(),
    });
    let row = folder.look();
    assert_eq!(row.state, State::Diverged);
    assert_eq!(row.problem.as_deref(), Some("the cost is no number"));
}

//! Kills the real program with signal 9 at random moments, many of them during a save, and
//! resumes it: every run must end with the bytes of the run that was never killed.
//!
//! `NEURALTALK_KILLS` says how often (8 if not set); `benchmarks/faults/kill` does it 200 times.

#![cfg(unix)]

#[path = "../../train/tests/toy/mod.rs"]
mod toy;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use train::{Generator, Options, Solver};

/// Kills of one run before it is left to finish.
const KILLS_EACH: u32 = 10;

struct Scene {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Scene {
    fn new(solver: Solver) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let data = toy::dataset(folder.path(), 9);
        let options = Options {
            save_every: 1,
            max_epochs: 10,
            hidden_size: 32,
            image_encoding_size: 32,
            word_encoding_size: 32,
            ..toy::options(&data, solver, Generator::Lstm)
        };
        let config = folder.path().join("options.toml");
        std::fs::write(&config, options.to_toml()).expect("written");
        Self { folder, config }
    }

    /// `train` a new run, or `resume` one that has begun.
    fn spawn(&self, run: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neuraltalk"));
        if run.join("config.toml").exists() {
            command.arg("resume").arg(run);
        } else {
            command.args(["train", "--config"]).arg(&self.config);
            command.arg("--run").arg(run);
        }
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    fn finish(&self, run: &Path) {
        let output = self.spawn(run).wait_with_output().expect("waited");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
    }
}

/// When a process is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// As soon as this many saves were seen to begin.
    InSave(u32),
}

/// Kills `child` then; false if it ended before.
fn kill(child: &mut Child, run: &Path, moment: Moment) -> bool {
    let (start, temporary) = (Instant::now(), run.join(".last.safetensors.tmp"));
    let (mut saves, mut saving) = (0, temporary.exists());
    loop {
        if let Some(status) = child.try_wait().expect("waited") {
            assert!(status.success(), "ended by itself with {status}");
            return false;
        }
        let now = temporary.exists();
        saves += u32::from(now && !saving);
        saving = now;
        let due = match moment {
            Moment::After(time) => start.elapsed() >= time,
            Moment::InSave(number) => saves >= number,
        };
        if due {
            // `Child::kill` sends signal 9.
            child.kill().expect("killed");
            child.wait().expect("reaped");
            return true;
        }
        if matches!(moment, Moment::After(_)) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Marsaglia's xorshift: which moments, not what is computed.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

#[test]
fn every_killed_run_resumes_and_ends_with_the_same_bytes() {
    let wanted: u32 = match std::env::var("NEURALTALK_KILLS") {
        Ok(number) => number.parse().expect("NEURALTALK_KILLS is a number"),
        Err(_) => 8,
    };
    let solvers = [
        Solver::Adam,
        Solver::Rmsprop,
        Solver::Vanilla,
        Solver::Adadelta,
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut kills, mut torn, mut runs) = (0, 0, 0);
    let mut solver = solvers.iter().cycle();
    while kills < wanted {
        let scene = Scene::new(*solver.next().expect("a cycle has no end"));
        let straight = scene.folder.path().join("straight");
        let start = Instant::now();
        scene.finish(&straight);
        let whole = start.elapsed();
        let run = scene.folder.path().join("run");
        for _ in 0..KILLS_EACH.min(wanted - kills) {
            let moment = match next(&mut random) % 3 {
                0 => Moment::After(whole.mul_f64((next(&mut random) % 1000) as f64 / 1000.0)),
                _ => Moment::InSave(1 + (next(&mut random) % 4) as u32),
            };
            let mut child = scene.spawn(&run);
            if !kill(&mut child, &run, moment) {
                break;
            }
            kills += 1;
            torn += u32::from(run.join(".last.safetensors.tmp").exists());
        }
        scene.finish(&run);
        runs += 1;
        assert!(
            toy::checkpoints(&straight) == toy::checkpoints(&run),
            "other bytes after kill {kills}"
        );
        assert_eq!(
            toy::history(&straight),
            toy::history(&run),
            "after kill {kills}"
        );
    }
    println!("{kills} kills of {runs} runs, {torn} of them left a half-written checkpoint behind");
    assert!(torn > 0 || wanted < 8, "no kill hit a save");
}

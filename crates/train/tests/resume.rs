//! A run that was stopped or killed and resumed is the run that was not, bit for bit.

mod toy;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use train::{BatchBy, Control, Event, Generator, Options, Outcome, Overrides, Sampling, Solver};

const SOLVERS: [Solver; 6] = [
    Solver::Vanilla,
    Solver::Adagrad,
    Solver::Adadelta,
    Solver::Rmsprop,
    Solver::Adam,
    Solver::Adamw,
];

/// Dies at the `n`-th event as if killed there: nothing of the loop's ends runs.
fn killed_at(n: usize, run: impl FnOnce(train::Sink) -> bool) -> bool {
    let mut seen = 0;
    let mut sink = |_: &Event| {
        seen += 1;
        if seen > n {
            std::panic::resume_unwind(Box::new("killed"));
        }
        Control::Continue
    };
    catch_unwind(AssertUnwindSafe(|| run(&mut sink))).unwrap_or(false)
}

fn same(straight: &Path, other: &Path, what: &str) {
    assert!(
        toy::checkpoints(straight) == toy::checkpoints(other),
        "{what}: other weights"
    );
    assert_eq!(toy::history(straight), toy::history(other), "{what}");
}

#[test]
fn every_solver_stops_anywhere_and_goes_on_exactly() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    for generator in [Generator::Lstm, Generator::Rnn] {
        for solver in SOLVERS {
            let what = format!("{generator:?} {solver:?}");
            let options = toy::options(&data, solver, generator);
            let straight = folder.path().join(format!("{what} straight"));
            let outcome = toy::train(&options, &straight).expect("trained");
            assert!(
                matches!(outcome, Outcome::Finished { .. }),
                "{what}: {outcome:?}"
            );
            let steps = toy::history(&straight).len();
            assert!(steps > 12, "{what}: {steps} steps and evaluations");
            for k in [1, 2, 5, 8, 11] {
                let run = folder.path().join(format!("{what} {k}"));
                let mut sink = |event: &Event| match event {
                    Event::Step { iteration, .. } if *iteration == k => Control::Stop,
                    _ => Control::Continue,
                };
                let outcome = train::start(&options, &run, &mut sink).expect("stopped");
                assert_eq!(outcome, Outcome::Interrupted { iteration: k }, "{what}");
                assert_eq!(outcome.exit_code(), 130);
                toy::resume(&run).expect("resumed");
                same(&straight, &run, &format!("{what} stopped at {k}"));
            }
        }
    }
}

#[test]
fn a_run_killed_at_any_event_again_and_again_is_the_same_run() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = Options {
        save_every: 2,
        keep_epochs: 2,
        drop_prob_decoder: 0.3,
        ..toy::options(&data, Solver::Adam, Generator::Lstm)
    };
    let straight = folder.path().join("straight");
    toy::train(&options, &straight).expect("trained");
    // Progress is certain from a save to the next: at most 2 steps, an evaluation, 4 saves.
    for n in [0, 1, 2, 3, 7, 8, 9, 10, 11, 12] {
        let run = folder.path().join(format!("killed {n}"));
        let mut done = killed_at(n, |sink| train::start(&options, &run, sink).is_ok());
        for round in 0..60 {
            if done {
                break;
            }
            // Each life is a little longer, so that every run ends.
            done = killed_at(n + round, |sink| {
                train::resume(&run, &Overrides::default(), sink).is_ok()
            });
        }
        assert!(done, "{n}: never finished");
        same(&straight, &run, &format!("killed at event {n}"));
        for epoch in [2, 3] {
            let name = format!("epoch-{epoch}.safetensors");
            let [one, other] =
                [&straight, &run].map(|run| std::fs::read(run.join(&name)).expect("kept"));
            assert!(one == other, "{name} of the run killed at event {n}");
        }
        assert!(!run.join("epoch-1.safetensors").exists());
    }
}

/// `last` counts `best` as written; were it saved first, this kill would lose the best model.
#[test]
fn a_kill_between_the_two_checkpoints_loses_none() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = toy::options(&data, Solver::Adam, Generator::Lstm);
    let straight = folder.path().join("straight");
    toy::train(&options, &straight).expect("trained");
    let improved = |event: &Event| match event {
        Event::Evaluated {
            iteration,
            improved: true,
            ..
        } => Some(*iteration),
        _ => None,
    };
    let history = toy::history(&straight);
    let best = history.iter().filter_map(improved).next_back();
    let run = folder.path().join("run");
    let mut sink = |event: &Event| match event {
        Event::Saved { iteration, .. } if Some(*iteration) == best => {
            std::panic::resume_unwind(Box::new("killed"))
        }
        _ => Control::Continue,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| train::start(&options, &run, &mut sink)));
    assert!(ended.is_err(), "it was killed after the first of the two");
    toy::resume(&run).expect("resumed");
    same(&straight, &run, "killed between best and last");
}

#[test]
fn a_finished_run_stays_finished() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = toy::options(&data, Solver::Rmsprop, Generator::Lstm);
    let run = folder.path().join("run");
    let outcome = toy::train(&options, &run).expect("trained");
    let before = toy::checkpoints(&run);
    assert_eq!(toy::resume(&run).expect("resumed"), outcome);
    assert!(before == toy::checkpoints(&run));
}

#[test]
fn same_seed_same_weights_for_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    for generator in [Generator::Lstm, Generator::Rnn] {
        let weights = |threads: usize, seed: u64| {
            let options = Options {
                threads,
                seed,
                hidden_size: 24,
                image_encoding_size: 24,
                word_encoding_size: 24,
                ..toy::options(&data, Solver::Rmsprop, generator)
            };
            let run = folder
                .path()
                .join(format!("{generator:?} {threads} {seed}"));
            toy::train(&options, &run).expect("trained");
            checkpoint::load(&run.join("last.safetensors"))
                .expect("last")
                .weights
        };
        let one = weights(1, 7);
        assert!(
            one == weights(2, 7) && one == weights(3, 7),
            "{generator:?}"
        );
        assert!(one != weights(1, 8), "another seed, other weights");
    }
}

#[test]
fn resuming_with_more_threads_and_moved_data_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = toy::options(&data, Solver::Adagrad, Generator::Rnn);
    let (straight, run) = (folder.path().join("straight"), folder.path().join("run"));
    toy::train(&options, &straight).expect("trained");
    let mut sink = |event: &Event| match event {
        Event::Evaluated { .. } => Control::Stop,
        _ => Control::Continue,
    };
    train::start(&options, &run, &mut sink).expect("stopped");
    let moved = folder.path().join("elsewhere");
    std::fs::rename(&data, &moved).expect("moved");
    let error = toy::resume(&run).expect_err("the data is gone");
    assert_eq!(error.exit_code(), 4, "{error}");
    let overrides = Overrides {
        dataset: Some(moved.to_string_lossy().into_owned()),
        features: Some(moved.join("feats.npy")),
        threads: Some(3),
        pictures: None,
    };
    train::resume(&run, &overrides, &mut |_| Control::Continue).expect("resumed");
    let weights = |run: &Path| {
        checkpoint::load(&run.join("last.safetensors"))
            .expect("last")
            .weights
    };
    assert!(weights(&straight) == weights(&run));
    assert_eq!(toy::history(&straight), toy::history(&run));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any options, killed at any two events.
    #[test]
    fn any_run_killed_twice(
        solver in 0usize..6,
        rnn: bool,
        pictures: bool,
        neuraltalk: bool,
        save_every in 0u64..4,
        first in 0usize..40,
        second in 0usize..40,
        seed in 0u64..1000,
    ) {
        let folder = tempfile::tempdir().expect("folder");
        let data = toy::dataset(folder.path(), 9);
        let generator = if rnn { Generator::Rnn } else { Generator::Lstm };
        let options = Options {
            batch_by: if pictures { BatchBy::Pictures } else { BatchBy::Sentences },
            pictures_per_batch: 2,
            sampling: if neuraltalk && !pictures { Sampling::Neuraltalk } else { Sampling::Epochs },
            save_every,
            seed,
            ..toy::options(&data, SOLVERS[solver], generator)
        };
        let (straight, run) = (folder.path().join("straight"), folder.path().join("run"));
        toy::train(&options, &straight).expect("trained");
        let mut done = killed_at(first, |sink| train::start(&options, &run, sink).is_ok());
        done = done || killed_at(second, |sink| train::resume(&run, &Overrides::default(), sink).is_ok());
        if !done {
            toy::resume(&run).expect("resumed");
        }
        same(&straight, &run, "killed twice");
    }
}

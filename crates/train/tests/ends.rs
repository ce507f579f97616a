//! How runs end: all epochs, early stopping, abort, divergence; and what they leave behind.

mod toy;

use std::path::Path;

use serde_json::Value;
use train::{Event, Generator, Options, Outcome, Reason, ScheduleKind, Select, Solver};

fn setup() -> (tempfile::TempDir, Options) {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = toy::options(&data, Solver::Rmsprop, Generator::Lstm);
    (folder, options)
}

fn iteration(run: &Path, name: &str) -> u64 {
    let path = run.join(format!("{name}.safetensors"));
    checkpoint::load(&path).expect(name).iteration
}

#[test]
fn a_run_learns_and_its_folder_tells_all() {
    let (folder, mut options) = setup();
    options.max_epochs = 30;
    options.learning_rate = 0.03;
    options.learning_rate_schedule = ScheduleKind::Constant;
    options.drop_prob_encoder = 0.0;
    options.drop_prob_decoder = 0.0;
    options.tensorboard = true;
    options.keep_epochs = 1;
    let run = folder.path().join("run");
    let outcome = toy::train(&options, &run).expect("trained");
    let Outcome::Finished {
        reason: Reason::MaxEpochs,
        best: Some(best),
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    let evaluations: Vec<f64> = toy::history(&run)
        .iter()
        .filter_map(|event| match event {
            Event::Evaluated { ppl2, .. } => Some(*ppl2),
            _ => None,
        })
        .collect();
    let least = evaluations.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(best, least);
    assert!(
        best < 2.5 && best < 0.5 * evaluations[0],
        "it learns: {evaluations:?}"
    );

    let saved = checkpoint::load(&run.join("best.safetensors")).expect("best");
    assert_eq!(saved.scores["val_ppl2"], best);
    assert_eq!(
        (saved.dataset.as_str(), saved.features.dimension),
        ("toy", toy::D)
    );
    assert!(saved.training.is_none(), "only `last` can be resumed");
    let [last, kept] =
        ["last", "epoch-30"].map(|name| checkpoint::load(&run.join(format!("{name}.safetensors"))));
    let (last, kept) = (last.expect("last"), kept.expect("the last epoch"));
    assert!(last.weights == kept.weights && kept.training.is_none());
    assert!(!run.join("epoch-29.safetensors").exists());
    assert_eq!(saved.params["dataset"], "toy");
    assert_eq!(saved.params["solver"], "rmsprop");

    let status: Vec<_> = std::fs::read_dir(run.join("status"))
        .expect("status")
        .collect();
    let path = status[0].as_ref().expect("a file").path();
    assert!(path.to_string_lossy().ends_with("_status.json"), "{path:?}");
    let value: Value = serde_json::from_slice(&std::fs::read(path).expect("read")).expect("JSON");
    let last = value["history"]
        .as_array()
        .expect("a list")
        .last()
        .expect("a report");
    let total = iteration(&run, "last");
    assert_eq!(last["iter"], serde_json::json!([total - 1, total]));
    assert_eq!(last["val_ppl2"].as_f64(), evaluations.last().copied());
    assert_eq!(
        std::fs::read_dir(run.join("tensorboard"))
            .expect("folder")
            .count(),
        1
    );
}

#[test]
fn divergence_keeps_the_last_good_state() {
    let (folder, mut options) = setup();
    options.solver = Solver::Vanilla;
    options.momentum = 0.0;
    options.save_every = 1;
    options.warmup_steps = 0;
    options.grad_clip = 0.0;
    options.grad_clip_norm = 0.0;
    options.learning_rate_schedule = ScheduleKind::Step;
    options.learning_rate_step_epochs = 1.0;
    let good = folder.path().join("good");
    let bad = folder.path().join("bad");
    options.learning_rate_factor = 1.0;
    toy::train(&options, &good).expect("trained");
    options.learning_rate_factor = 1e5;
    let outcome = toy::train(&options, &bad).expect("ended");
    assert!(matches!(outcome, Outcome::Diverged { .. }), "{outcome:?}");
    assert_eq!(outcome.exit_code(), 5);
    let text = std::fs::read_to_string(bad.join("events.jsonl")).expect("events");
    let end = text.lines().last().expect("an end");
    let end: Event = serde_json::from_str(end).expect("an event");
    let Event::Diverged {
        iteration: at,
        message,
        first_cost,
        ..
    } = end
    else {
        panic!("{end:?}")
    };
    assert!(
        message.contains("learning-rate") && first_cost.is_some(),
        "{message}"
    );
    // One epoch is 4 steps; the fifth jumps, the sixth cost shows it.
    let kept = iteration(&bad, "last");
    assert!(kept < at && kept >= 4, "kept {kept}, diverged at {at}");
    // Up to the jump both runs are one.
    let (kept, other) = (toy::history(&bad), toy::history(&good));
    assert_eq!(kept[..5], other[..5]);
    // Going on reaches the same end, and still keeps the state.
    let before = toy::checkpoints(&bad);
    let again = toy::resume(&bad).expect("ended");
    assert_eq!(again, outcome);
    assert!(before == toy::checkpoints(&bad));
}

#[test]
fn an_explosion_in_the_last_step_is_noticed_before_it_is_saved() {
    let (folder, mut options) = setup();
    options.solver = Solver::Vanilla;
    options.grad_clip = 0.0;
    options.grad_clip_norm = 0.0;
    options.warmup_steps = 0;
    options.learning_rate_schedule = ScheduleKind::Step;
    // 12 steps in 3 epochs; the rate jumps for the last one.
    options.learning_rate_step_epochs = 11.0 / 4.0;
    options.learning_rate_factor = 1e6;
    let run = folder.path().join("run");
    let outcome = toy::train(&options, &run).expect("ended");
    assert!(matches!(outcome, Outcome::Diverged { .. }), "{outcome:?}");
    assert!(iteration(&run, "last") < 12 && iteration(&run, "best") < 12);
}

#[test]
fn early_stopping_and_abort_end_a_run_for_good() {
    for (early, abort, wanted) in [
        (1, -1.0, Reason::EarlyStopping),
        (0, 1.01, Reason::MinPplOrAbort),
    ] {
        let (folder, mut options) = setup();
        options.max_epochs = 40;
        options.learning_rate_schedule = ScheduleKind::Constant;
        options.early_stopping = early;
        options.min_ppl_or_abort = abort;
        let run = folder.path().join("run");
        let outcome = toy::train(&options, &run).expect("ended");
        let Outcome::Finished { reason, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(reason, wanted);
        assert!(iteration(&run, "last") < 160, "{reason:?}");
        assert_eq!(toy::resume(&run).expect("stays ended"), outcome);
    }
}

#[test]
fn a_checkpoint_is_where_another_run_starts() {
    let (folder, mut options) = setup();
    let first = folder.path().join("first");
    toy::train(&options, &first).expect("trained");
    // Other sizes than the checkpoint's: the checkpoint decides, and says so.
    options.init_model_from = Some(first.join("best.safetensors"));
    options.hidden_size = 16;
    let mut warnings = Vec::new();
    let run = folder.path().join("second");
    train::start(&options, &run, &mut |event| {
        if let Event::Warning { message, .. } = event {
            warnings.push(message.clone());
        }
        train::Control::Continue
    })
    .expect("trained");
    assert!(
        warnings.len() == 1 && warnings[0].contains("hidden-size = 8"),
        "{warnings:?}"
    );
    let config = std::fs::read_to_string(run.join("config.toml")).expect("config");
    assert!(config.contains("hidden-size = 8"), "{config}");
    let cost = |run: &Path| match toy::history(run).first() {
        Some(Event::Step { loss_cost, .. }) => *loss_cost,
        other => panic!("{other:?}"),
    };
    assert!(cost(&run) < cost(&first), "it starts where the other ended");
}

#[test]
fn the_best_checkpoint_can_be_chosen_by_a_score() {
    for (select, name) in [(Select::Bleu4, "bleu4"), (Select::Cider, "cider")] {
        let (folder, mut options) = setup();
        options.select = select;
        options.max_epochs = 30;
        options.learning_rate = 0.03;
        options.drop_prob_encoder = 0.0;
        options.drop_prob_decoder = 0.0;
        options.learning_rate_schedule = ScheduleKind::Constant;
        options.eval_beam_size = 2;
        let run = folder.path().join("run");
        let outcome = toy::train(&options, &run).expect("trained");
        let Outcome::Finished { best, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let scores: Vec<f64> = toy::history(&run)
            .iter()
            .filter_map(|event| match event {
                Event::Evaluated {
                    scores, samples, ..
                } => {
                    assert_eq!(samples.len(), 3, "samples are the first pictures' captions");
                    assert!(scores.contains_key("bleu1"), "{scores:?}");
                    Some(scores[name])
                }
                _ => None,
            })
            .collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(
            most > 0.1 && best == Some(most),
            "{name}: {best:?} of {scores:?}"
        );
    }
}

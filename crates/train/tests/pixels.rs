//! Training on pictures: the encoder learns, and a run that was stopped and resumed is the run that was not.

mod toy;

use std::fs;
use std::path::Path;

use tensor::Device;
use train::{Control, Event, Generator, Options, Outcome, Overrides};

fn stop_at(k: u64) -> impl FnMut(&Event) -> Control {
    move |event| match event {
        Event::Step { iteration, .. } if *iteration == k => Control::Stop,
        _ => Control::Continue,
    }
}

#[test]
fn a_stopped_run_with_a_learning_encoder_goes_on_exactly_with_any_threads() {
    let folder = tempfile::tempdir().expect("folder");
    let (dataset, encoder) = toy::pictures(folder.path());
    for generator in [Generator::Lstm, Generator::Attention] {
        let options = toy::fine_tuning(&dataset, &encoder, generator);
        let straight = folder.path().join(format!("{generator:?}"));
        let outcome = toy::train(&options, &straight).expect("trained");
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        // In the frozen epoch, at its end, and later.
        for (k, threads) in [(1, 2), (2, 3), (4, 1)] {
            let run = folder.path().join(format!("{generator:?} {k}"));
            let outcome = train::start(&options, &run, &mut stop_at(k)).expect("stopped");
            assert_eq!(outcome, Outcome::Interrupted { iteration: k });
            let overrides = Overrides {
                threads: Some(threads),
                ..Overrides::default()
            };
            train::resume(&run, &overrides, &mut |_| Control::Continue).expect("resumed");
            assert!(
                toy::checkpoints_but_threads(&straight) == toy::checkpoints_but_threads(&run),
                "{generator:?} stopped at {k}: other weights"
            );
            assert_eq!(toy::history(&straight), toy::history(&run));
        }
    }
}

#[test]
fn only_the_named_blocks_learn_and_only_after_their_epoch() {
    let folder = tempfile::tempdir().expect("folder");
    let (dataset, encoder) = toy::pictures(folder.path());
    let weights = |options: &Options, name: &str| {
        let run = folder.path().join(name);
        toy::train(options, &run).expect("trained");
        let last = checkpoint::load(&run.join("last.safetensors")).expect("loaded");
        let state = last.encoder.expect("an encoder inside").state;
        [0, 1].map(|n| {
            let name = format!("convolutions.{n}.weight");
            state.get(&name).expect("a weight").1.singles().to_vec()
        })
    };
    let options = toy::fine_tuning(&dataset, &encoder, Generator::Lstm);
    let frozen = Options {
        finetune_after: -1,
        ..options.clone()
    };
    let all = Options {
        finetune_from_block: 0,
        ..options.clone()
    };
    let device = Device::cpu(1);
    let (_, loaded) = checkpoint::load_encoder(&encoder, &device).expect("loaded");
    let first = loaded.state();
    let first = [0, 1].map(|n| {
        let name = format!("convolutions.{n}.weight");
        first.get(&name).expect("a weight").1.singles().to_vec()
    });
    assert_eq!(weights(&frozen, "frozen"), first);
    let back = weights(&options, "back");
    assert!(back[0] == first[0] && back[1] != first[1]);
    let whole = weights(&all, "whole");
    assert!(whole[0] != first[0] && whole[1] != first[1]);
}

#[test]
fn a_checkpoint_gives_its_encoder_to_a_new_run() {
    let folder = tempfile::tempdir().expect("folder");
    let (dataset, encoder) = toy::pictures(folder.path());
    let first = toy::fine_tuning(&dataset, &encoder, Generator::Attention);
    let run = folder.path().join("first");
    toy::train(&first, &run).expect("trained");
    let second = Options {
        encoder: None,
        init_model_from: Some(run.join("last.safetensors")),
        finetune_after: -1,
        max_epochs: 1,
        ..first
    };
    let other = folder.path().join("second");
    toy::train(&second, &other).expect("trained");
    let encoder = |run: &Path| {
        let last = checkpoint::load(&run.join("last.safetensors")).expect("loaded");
        last.encoder.expect("an encoder inside")
    };
    assert_eq!(encoder(&run), encoder(&other));
}

#[test]
fn a_picture_that_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let (dataset, encoder) = toy::pictures(folder.path());
    fs::remove_file(dataset.join("imgs/3.jpg")).expect("removed");
    let options = toy::fine_tuning(&dataset, &encoder, Generator::Lstm);
    let error = toy::train(&options, &folder.path().join("run")).expect_err("missing");
    assert!(error.to_string().contains("3.jpg"), "{error}");
    assert_eq!(error.exit_code(), 4);
}

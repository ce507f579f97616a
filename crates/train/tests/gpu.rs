//! Training on the emulated GPU: what the CPU gives, and what is copied on the way.

#[path = "../../cuda/tests/emulator/mod.rs"]
mod emulator;
mod toy;

use std::path::Path;

use data::picture::{Augmentation, ChannelOrder, Filter, Fit, Picture, Preprocessing};
use emulator::Call;
use models::encoder::pixels_from_planes;
use tensor::random::Random;
use tensor::{Device, Precision};
use train::{Control, Event, Generator, Options, Solver};

/// Costs of all steps.
fn train(device: Device, options: &Options, run: &Path) -> Vec<f64> {
    let mut costs = Vec::new();
    let mut sink = |event: &Event| {
        if let Event::Step { total_cost, .. } = event {
            costs.push(*total_cost);
        }
        Control::Continue
    };
    train::start_on(device, options, run, &mut sink).expect("trained");
    costs
}

#[track_caller]
fn near(got: &[f64], want: &[f64]) {
    assert!(
        !want.is_empty() && got.len() == want.len(),
        "{got:?}, {want:?}"
    );
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).abs() < 1e-3 * b, "{got:?}, not {want:?}");
    }
}

/// A GPU's batches have rows that count nothing, and so other rows are dropped there.
fn without_dropout(options: Options) -> Options {
    Options {
        drop_prob_encoder: 0.0,
        drop_prob_decoder: 0.0,
        ..options
    }
}

/// Steps on sentences of many lengths come to few shapes, which are replayed.
#[test]
fn steps_of_real_batches_are_replayed() {
    let folder = tempfile::tempdir().expect("folder");
    let dataset = toy::dataset(folder.path(), 9);
    let options = Options {
        batch_size: 8,
        max_epochs: 24,
        eval_period: 24.0,
        grad_clip_norm: 0.0,
        ..toy::options(&dataset, Solver::Adam, Generator::Lstm)
    };
    let Some((gpu, _)) = emulator::recording(Precision::Single) else {
        return;
    };
    let device = Device::cpu(1).with_gpu(gpu.clone());
    let costs = train(device, &options, &folder.path().join("run"));
    assert!(costs.iter().all(|cost| cost.is_finite()));
    // Not the first two of a shape. Without rounding none would be: of so few sentences each batch has a shape of its own.
    let (steps, replayed) = (costs.len(), gpu.replayed());
    assert!(steps == 48 && replayed >= 20, "{replayed} of {steps}");
}

#[test]
fn stored_features_stay_on_the_gpu() {
    let folder = tempfile::tempdir().expect("folder");
    let dataset = toy::dataset(folder.path(), 9);
    for generator in [Generator::Lstm, Generator::Rnn] {
        let options = without_dropout(toy::options(&dataset, Solver::Adam, generator));
        let Some((gpu, calls)) = emulator::listening(Precision::Single) else {
            return;
        };
        let run = |name: &str| folder.path().join(format!("{generator:?} {name}"));
        let got = train(Device::cpu(1).with_gpu(gpu), &options, &run("gpu"));
        near(&got, &train(Device::cpu(1), &options, &run("cpu")));
        // All of the training pictures' features, once; the rows of a batch never.
        let calls = calls.lock().expect("no panic");
        let of_rows = |rows: usize| Call::Upload(rows * toy::D * size_of::<f32>());
        let count = |call: Call| calls.iter().filter(|&&c| c == call).count();
        assert_eq!(count(of_rows(9)), 1, "{generator:?}");
        assert_eq!(count(of_rows(5)), 0, "{generator:?}");
    }
}

#[test]
fn pictures_go_there_as_they_were_decoded_and_beside_the_work() {
    let folder = tempfile::tempdir().expect("folder");
    let (dataset, encoder) = toy::pictures(folder.path());
    let options = without_dropout(Options {
        max_epochs: 3,
        ..toy::fine_tuning(&dataset, &encoder, Generator::Attention)
    });
    let Some((gpu, calls)) = emulator::listening(Precision::Single) else {
        return;
    };
    let run = |name: &str| folder.path().join(name);
    let got = train(Device::cpu(2).with_gpu(gpu), &options, &run("gpu"));
    near(&got, &train(Device::cpu(2), &options, &run("cpu")));
    let calls = calls.lock().expect("no panic");
    // Five pictures of 20 x 16 pixels in the one batch of an epoch; two epochs learn, and one batch more tells that the last
    // weights are good.
    let batches = calls
        .iter()
        .filter(|&&call| call == Call::Beside(5 * 20 * 16 * 3));
    assert_eq!(batches.count(), 3);
    // Pixels of a batch, of the training or the validation pictures are never uploaded.
    let side = checkpoint::EncoderPart::load(&encoder)
        .expect("loaded")
        .about
        .preprocessing
        .size;
    let pixels =
        [5, 9, 4].map(|pictures| Call::Upload(pictures * side * side * 3 * size_of::<f32>()));
    assert_eq!(calls.iter().filter(|call| pixels.contains(call)).count(), 0);
}

#[test]
fn a_gpu_makes_of_pictures_what_the_cpu_makes() {
    let Some(gpu) = emulator::or_real_gpu(Precision::Single) else {
        return;
    };
    // A GPU multiplies and adds in one rounding: where a value is then rounded to a whole number, few may come out one apart.
    let real = std::env::var_os("NEURALTALK_TEST_GPU").is_some();
    let device = Device::cpu(2).with_gpu(gpu);
    let mut random = Random::new(3, 1);
    let sizes = [(20, 16), (1, 1), (7, 31), (50, 9), (3, 2)];
    let pictures = sizes.map(|(width, height)| Picture {
        width,
        height,
        rgb: (0..3 * width * height)
            .map(|_| random.bits() as u8)
            .collect(),
    });
    let all = Augmentation {
        area: 0.4,
        aspect: 1.3,
        flip: true,
        contrast: 0.3,
        brightness: 0.2,
    };
    let odd = |filter, fit, round, channels| Preprocessing {
        size: 11,
        fit,
        filter,
        round,
        channels,
        mean: [3.0, 50.5, 100.25],
        scale: [0.5, 0.0625, 1.0],
    };
    let (rgb, bgr) = (ChannelOrder::Rgb, ChannelOrder::Bgr);
    for prepare in [
        Preprocessing::efficientnet_lite(24),
        odd(Filter::MatlabBicubic, Fit::Squash, false, bgr),
        odd(Filter::Bilinear, Fit::CenterCrop(13), true, rgb),
        odd(Filter::BilinearPlain, Fit::Squash, false, rgb),
    ] {
        for (augmentation, epochs) in [(Augmentation::OFF, 1), (all, 6)] {
            for epoch in 0..epochs {
                let change = |n: usize| augmentation.draw(5, epoch, n as u64);
                let changes: Vec<_> = (0..pictures.len()).map(change).collect();
                let got = train::pictures_on_gpu(&device, &pictures, &changes, &prepare);
                let got = got.expect("there is a GPU").pixels();
                let planes = pictures.iter().enumerate();
                let planes = planes.flat_map(|(n, p)| prepare.apply_changed(p, &changes[n]));
                let planes: Vec<f32> = planes.collect();
                let want = pixels_from_planes(&Device::cpu(1), &planes, prepare.size);
                assert_eq!(got.shape(), want.shape());
                let mut apart = 0;
                for (at, (a, b)) in got.data().iter().zip(want.data()).enumerate() {
                    let difference = (a - b).abs() / prepare.scale[at % 3];
                    assert!(difference < 1.5, "{prepare:?} {epoch} {at}: {a}, {b}");
                    apart += usize::from(difference > 2e-3);
                }
                let few = if real { got.len() / 200 } else { 0 };
                assert!(apart <= few, "{prepare:?}: {apart} of {} differ", got.len());
            }
        }
    }
    let prepare = Preprocessing::efficientnet_lite(4);
    let empty = train::pictures_on_gpu(&device, &[], &[], &prepare).expect("there is a GPU");
    assert_eq!(empty.pixels().shape(), [0, 4, 4, 3]);
    assert!(train::pictures_on_gpu(&Device::cpu(1), &[], &[], &prepare).is_none());
}

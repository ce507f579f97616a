//! Work that repeats is replayed as a graph, and computes what it computes call by call.

mod emulator;

use std::sync::Arc;

use cuda::{Gpu, Matrix, Part, Precision, kernels};
use emulator::Call;

/// Numbers in a row that look random.
struct Draws(u32);

impl Draws {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % n
    }
}

const SIDE: usize = 6;
const LEN: usize = SIDE * SIDE;

/// Numbers small enough to stay finite over a passage.
fn values(from: u32) -> Vec<f32> {
    (0..LEN as u32)
        .map(|i| ((from + i) % 7) as f32 * 0.125 - 0.375)
        .collect()
}

/// Runs passages of `kinds`, each told by its kind and a number that is another each time; what is seen after each of them.
fn run(gpu: &Arc<Gpu>, kinds: &[u32]) -> Vec<Vec<f32>> {
    let [mut x, mut y] = [1, 2].map(|i| gpu.array_of(&values(i)));
    gpu.finish();
    let mut seen = Vec::new();
    for (number, &kind) in kinds.iter().enumerate() {
        // The kind says which calls, the number only what is in the arguments and uploads.
        let mut draws = Draws(kind);
        for _ in 0..8 + draws.below(6) {
            match draws.below(7) {
                0 => {
                    let fresh = gpu.array_of(&values(number as u32));
                    kernels::add_assign(gpu, &mut x.all_mut(), fresh.all());
                }
                1 => kernels::scale_assign(gpu, &mut x.all_mut(), 0.5 / (1 + number) as f32),
                2 => y = kernels::multiply(gpu, x.all(), y.all()),
                3 => {
                    let mut product = gpu.array(LEN);
                    let [a, b] = [&x, &y].map(|m| Matrix::new(m.all(), SIDE, SIDE));
                    gpu.multiply(&mut product.all_mut(), a, b.t(), false);
                    kernels::scale_assign(gpu, &mut product.all_mut(), 0.1);
                    x = product;
                }
                4 => gpu.copy(&mut y.at_mut(0..SIDE), x.at(SIDE..2 * SIDE)),
                5 => gpu.clear(&mut y.at_mut(SIDE..2 * SIDE)),
                _ => {
                    let (seed, keep) = ((number as u64, 3), 1.25);
                    let mask = kernels::dropout_mask(gpu, LEN, seed, 1 << 30, keep);
                    x = kernels::multiply(gpu, x.all(), mask.all());
                }
            }
        }
        // Each passage starts from numbers of its own, or they fade.
        kernels::add_assign(gpu, &mut y.all_mut(), x.all());
        seen.push(y.to_vec());
        x = gpu.array_of(&values(number as u32));
        gpu.finish();
    }
    seen
}

#[test]
fn graphs_compute_what_their_calls_do() {
    for seed in 0..20 {
        let mut draws = Draws(seed);
        let few = 1 + draws.below(4);
        let kinds: Vec<u32> = (0..60).map(|_| draws.below(few)).collect();
        let Some(plain) = emulator::gpu(Precision::Single) else {
            return;
        };
        let (graphs, calls) = emulator::recording(Precision::Single).expect("as before");
        let (got, want) = (run(&graphs, &kinds), run(&plain, &kinds));
        assert!(
            want.iter().flatten().any(|&x| x != 0.0)
                && want.iter().flatten().all(|x| x.is_finite())
        );
        for (at, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(
                got, want,
                "seed {seed}, passage {at} of the kinds {kinds:?}"
            );
        }
        let calls = calls.lock().expect("no panic");
        let replays = calls.iter().filter(|&&call| call == Call::Replay).count();
        assert_eq!(replays, graphs.replayed());
        assert!(replays > 0, "seed {seed}");
        assert_eq!(plain.replayed(), 0);
    }
}

/// So many kernels, then a wait.
fn scale(gpu: &Arc<Gpu>, factors: &[f32]) -> f32 {
    let mut x = gpu.array_of(&[1.0; 3]);
    for &factor in factors {
        kernels::scale_assign(gpu, &mut x.all_mut(), factor);
    }
    x.to_vec()[0]
}

#[test]
fn a_passage_is_recorded_when_it_comes_again_and_replayed_from_then_on() {
    let Some((gpu, calls)) = emulator::recording(Precision::Single) else {
        return;
    };
    let replays = |factors: &[f32]| {
        calls.lock().expect("no panic").clear();
        assert_eq!(scale(&gpu, factors), factors.iter().product::<f32>());
        let calls = calls.lock().expect("no panic");
        // Whole, once, and in order, however it was handed over.
        let rest: Vec<_> = calls.iter().filter(|&&c| c != Call::Replay).collect();
        assert_eq!(rest.len(), factors.len() + 2, "{calls:?}");
        assert!(matches!(rest[0], Call::Upload(12)));
        calls.first() == Some(&Call::Replay)
    };
    let eight = [2.0; 8];
    assert!(!replays(&eight));
    // Recorded, after it was done call by call.
    assert!(!replays(&eight));
    assert!(replays(&eight));
    assert!(replays(&[2.0, 2.0, 2.0, 4.0, 2.0, 2.0, 0.5, 2.0]));
    // The arguments of the time before don't stay.
    assert!(replays(&eight));
    // Longer, and shorter: other passages, although each begins like the other.
    for length in [9, 7] {
        assert!(!replays(&vec![2.0; length]));
        assert!(!replays(&vec![2.0; length]));
    }
    assert!(replays(&[2.0; 9]));
    assert!(replays(&[2.0; 7]));
    // Too short to be worth it.
    for _ in 0..3 {
        assert!(!replays(&[2.0; 3]));
    }
    assert!(replays(&eight));
}

#[test]
fn passages_unused_for_long_are_forgotten() {
    let Some((gpu, _)) = emulator::recording(Precision::Single) else {
        return;
    };
    for round in 0..3 {
        for length in 10..90 {
            scale(&gpu, &vec![1.0; length]);
        }
        assert_eq!(gpu.replayed(), 0, "round {round}");
    }
    for replayed in [0, 10] {
        for length in 80..90 {
            scale(&gpu, &vec![1.0; length]);
        }
        assert_eq!(gpu.replayed(), replayed);
    }
    // One that is used now and then stays.
    for length in 90..170 {
        scale(&gpu, &vec![1.0; length]);
        scale(&gpu, &[1.0; 89]);
    }
    assert_eq!(gpu.replayed(), 90);
}

#[test]
fn kernels_over_other_lengths_are_another_passage() {
    let Some((gpu, _)) = emulator::recording(Precision::Single) else {
        return;
    };
    let mut x = gpu.array_of(&[1.0; 1000]);
    gpu.finish();
    // More blocks for the same array.
    for (round, len) in [300, 300, 300, 1000, 1000, 1000, 300]
        .into_iter()
        .enumerate()
    {
        let before = x.to_vec();
        for _ in 0..8 {
            kernels::scale_assign(&gpu, &mut x.at_mut(0..len), 2.0);
        }
        let scaled = |(i, x): (usize, &f32)| if i < len { x * 256.0 } else { *x };
        let want: Vec<f32> = before.iter().enumerate().map(scaled).collect();
        assert_eq!(x.to_vec(), want, "round {round}");
    }
    assert_eq!(gpu.replayed(), 3);
}

#[test]
fn an_upload_beside_lets_go_what_is_held_back() {
    let Some((gpu, calls)) = emulator::recording(Precision::Single) else {
        return;
    };
    let beside = |values: &[f32]| {
        let mut y = gpu.array(values.len());
        gpu.fill_beside(&[Part::new(&mut y, values)]);
        let last = calls.lock().expect("no panic").last().copied();
        assert_eq!(last, Some(Call::Beside(4 * values.len())));
        y
    };
    // The same calls each time; once with something beside them, which is done among them all the same.
    let mut x = gpu.array_of(&[1.0; 3]);
    gpu.finish();
    for (round, disturbed) in [false, false, false, true, false].into_iter().enumerate() {
        let before = x.to_vec()[0];
        for n in 0..8 {
            kernels::scale_assign(&gpu, &mut x.all_mut(), 2.0);
            if disturbed && n == 4 {
                beside(&[3.0; 5]);
            }
        }
        gpu.finish();
        assert_eq!(x.to_vec(), [before * 256.0; 3], "round {round}");
        assert_eq!(gpu.replayed(), [0, 0, 1, 1, 2][round], "round {round}");
    }
    // What came beside is there for what is asked for next.
    let y = beside(&[0.5; 3]);
    let mut x = gpu.array_of(&[1.0; 3]);
    kernels::add_assign(&gpu, &mut x.all_mut(), y.all());
    assert_eq!(x.to_vec(), [1.5; 3]);
    // Nothing beside nothing.
    gpu.fill_beside(&[Part::new(&mut gpu.array::<f32>(0), &[])]);
}

#[test]
fn after_an_error_nothing_more_is_done() {
    let Some((gpu, calls)) = emulator::recording(Precision::Single) else {
        return;
    };
    for _ in 0..3 {
        scale(&gpu, &[2.0; 8]);
    }
    assert_eq!(gpu.replayed(), 1);
    let mut x = gpu.array_of(&[1.0; 3]);
    // Held back, then refused; the error comes again, whatever is asked for.
    emulator::refuse_next();
    let refused = |work: &mut dyn FnMut()| {
        let work = std::panic::AssertUnwindSafe(work);
        let payload = std::panic::catch_unwind(work).expect_err("refused");
        assert!(payload.is::<cuda::Error>());
    };
    refused(&mut || gpu.finish());
    let asked = calls.lock().expect("no panic").len();
    refused(&mut || kernels::scale_assign(&gpu, &mut x.all_mut(), 2.0));
    refused(&mut || gpu.finish());
    refused(&mut || drop(x.to_vec()));
    assert_eq!(calls.lock().expect("no panic").len(), asked);
}

#[test]
fn only_what_may_become_a_graph_waits() {
    let Some((gpu, calls)) = emulator::recording(Precision::Single) else {
        return;
    };
    let mut x = gpu.array_of(&[1.0; 3]);
    gpu.finish();
    // Asked for when it comes, the second time too; the third time at the end; unless it then turns out to be something else.
    for (round, held) in [false, false, true, true].into_iter().enumerate() {
        calls.lock().expect("no panic").clear();
        for _ in 0..8 {
            kernels::scale_assign(&gpu, &mut x.all_mut(), 2.0);
        }
        let asked = calls.lock().expect("no panic").len();
        assert_eq!(asked, if held { 0 } else { 8 }, "round {round}");
        if round == 3 {
            kernels::scale_assign(&gpu, &mut x.all_mut(), 2.0);
            assert_eq!(calls.lock().expect("no panic").len(), 9);
        }
        gpu.finish();
    }
    assert_eq!(x.to_vec(), [2f32.powi(33); 3]);
}

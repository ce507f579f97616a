//! Batches form from what waits, and nothing else decides about them.

use std::sync::Mutex;
use std::time::Duration;

use generate::CaptionError;

use super::*;

/// Waits for the test's word before each batch, and notes what it was given.
struct Gated {
    gate: Mutex<std::sync::mpsc::Receiver<()>>,
    seen: Mutex<Vec<(usize, Vec<u8>)>>,
}

impl Caption for Gated {
    fn caption(
        &self,
        pictures: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        let gate = self.gate.lock().expect("one batch at a time");
        let _ = gate.recv();
        drop(gate);
        assert!(pictures != [b"panic"], "as a broken model would");
        let firsts = pictures.iter().map(|picture| picture[0]).collect();
        let mut seen = self.seen.lock().expect("one batch at a time");
        seen.push((options.beam_size, firsts));
        let captions = |&picture: &&[u8]| {
            Ok(vec![Sentence {
                text: String::from_utf8_lossy(picture).into_owned(),
                words: Vec::new(),
                log_prob: 0.0,
                word_log_probs: Vec::new(),
                finished: true,
                attention: None,
            }])
        };
        Ok(pictures.iter().map(captions).collect())
    }
}

struct Setup {
    queue: Queue,
    model: Arc<Gated>,
    open: std::sync::mpsc::Sender<()>,
}

fn setup(queue: usize, batch: usize) -> Setup {
    let (open, gate) = std::sync::mpsc::channel();
    let model = Arc::new(Gated {
        gate: Mutex::new(gate),
        seen: Mutex::default(),
    });
    let config = Config {
        queue,
        batch,
        ..Config::default()
    };
    Setup {
        queue: Queue::start(model.clone(), &config, Arc::default()),
        model,
        open,
    }
}

fn beam(beam_size: usize) -> Options {
    Options {
        beam_size,
        ..Options::default()
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Setup {
    fn put(&self, picture: &'static str, options: Options) -> oneshot::Receiver<Outcome> {
        let mut answers = self
            .queue
            .put(
                vec![Bytes::from_static(picture.as_bytes())],
                options,
                later(),
            )
            .expect("a place");
        answers.remove(0)
    }

    /// Until the model holds the first picture, so that the others wait for it.
    fn hold(&self) -> oneshot::Receiver<Outcome> {
        let first = self.put("0", beam(1));
        // The worker has nothing else to do than to take it.
        std::thread::sleep(Duration::from_millis(100));
        first
    }
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Captions(captions) => captions[0].text.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_waits_together_is_captioned_together() {
    let setup = setup(100, 3);
    let first = setup.hold();
    let mut answers = vec![first];
    for (picture, size) in [("a", 2), ("b", 1), ("c", 2), ("d", 2), ("e", 2), ("f", 1)] {
        answers.push(setup.put(picture, beam(size)));
    }
    for _ in 0..4 {
        setup.open.send(()).expect("the model waits");
    }
    let texts: Vec<String> = answers
        .into_iter()
        .map(|answer| text(answer.blocking_recv().expect("an answer")))
        .collect();
    assert_eq!(texts, ["0", "a", "b", "c", "d", "e", "f"], "each its own");
    let seen = setup.model.seen.lock().expect("done");
    let batches: Vec<(usize, &[u8])> = seen.iter().map(|(k, b)| (*k, &b[..])).collect();
    // At most three, of one kind, in the order in which they came.
    assert_eq!(
        batches,
        [(1, &b"0"[..]), (2, b"acd"), (1, b"bf"), (2, b"e")]
    );
}

#[test]
fn no_place_is_429_and_a_request_gets_all_its_places_or_none() {
    let setup = setup(3, 8);
    let first = setup.hold();
    let three = vec![Bytes::from_static(b"x"); 3];
    let refused = setup
        .queue
        .put(three.clone(), beam(1), later())
        .expect_err("full");
    assert_eq!(refused.status.as_u16(), 429);
    assert!(
        refused
            .retry_after_s
            .is_some_and(|seconds| (1..=60).contains(&seconds))
    );
    assert_eq!(setup.queue.used(), 1, "none was taken");
    let two = setup
        .queue
        .put(three[..2].to_vec(), beam(1), later())
        .expect("two are free");
    assert_eq!(setup.queue.used(), 3);
    let four = vec![Bytes::from_static(b"x"); 4];
    let never = setup.queue.put(four, beam(1), later()).expect_err("never");
    assert_eq!(never.status.as_u16(), 413);
    for _ in 0..2 {
        setup.open.send(()).expect("the model waits");
    }
    first.blocking_recv().expect("an answer");
    for answer in two {
        answer.blocking_recv().expect("an answer");
    }
    assert_eq!(setup.queue.used(), 0, "every place was given back");
}

#[test]
fn who_left_or_is_late_is_not_worked_for() {
    let setup = setup(10, 8);
    let first = setup.hold();
    drop(setup.put("gone", beam(1)));
    let late = setup
        .queue
        .put(vec![Bytes::from_static(b"late")], beam(1), Instant::now())
        .expect("a place");
    let kept = setup.put("kept", beam(1));
    for _ in 0..2 {
        setup.open.send(()).expect("the model waits");
    }
    first.blocking_recv().expect("an answer");
    assert_eq!(text(kept.blocking_recv().expect("an answer")), "kept");
    for answer in late {
        answer.blocking_recv().expect_err("nobody worked for it");
    }
    let seen = setup.model.seen.lock().expect("done");
    assert_eq!(seen.iter().map(|(_, b)| b.len()).sum::<usize>(), 2);
    assert_eq!(setup.queue.used(), 0);
}

#[test]
fn a_model_that_panics_costs_one_batch() {
    let setup = setup(10, 8);
    for _ in 0..2 {
        setup.open.send(()).expect("the model waits");
    }
    let broken = setup
        .put("panic", beam(1))
        .blocking_recv()
        .expect("an answer");
    let Outcome::Failed(problem) = broken else {
        panic!("{broken:?}")
    };
    assert_eq!(problem.status.as_u16(), 500);
    assert_eq!(
        text(
            setup
                .put("next", beam(1))
                .blocking_recv()
                .expect("an answer")
        ),
        "next"
    );
}

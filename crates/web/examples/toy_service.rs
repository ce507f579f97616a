//! The captioning service over a model of one's own: `cargo run -p neuraltalk-web --example toy_service`.
//!
//! The model here only says how wide a picture is, in as many ways as are asked for, and "looks" along
//! the diagonal. The browser tests use it; for anybody else it shows what [`web::serve::Caption`]
//! wants. Words after the name are keys that the API then asks for.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use data::picture::{PictureError, decode};
use generate::{Attention, CaptionError, Options, Sentence};
use web::serve::{Caption, Config, router};
use web::{Guard, Server, Stop, Timing, WebError};

/// Says the size of a picture, in as many ways as are asked for, and looks everywhere in turn.
struct Toy;

impl Caption for Toy {
    fn caption(
        &self,
        pictures: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        let one = |&bytes: &&[u8]| {
            let picture = decode(bytes, &options.decode)?;
            let sentence = |n: usize| {
                let how = ["very", "quite", "rather", "hardly", "not", "never"][n % 6];
                let kind = if options.sampling.is_some() {
                    "drawn"
                } else {
                    "wide"
                };
                let text = format!("a {how} {kind} picture of {} columns", picture.width);
                let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
                let weights = (0..words.len()).flat_map(|word| {
                    let near = move |r: usize| {
                        let (x, y) = ((r % 7) as f32 - word as f32, (r / 7) as f32 - word as f32);
                        (-(x * x + y * y) / 4.0).exp()
                    };
                    let sum: f32 = (0..49).map(near).sum();
                    (0..49).map(move |r| near(r) / sum)
                });
                Sentence {
                    attention: options.attention.then(|| Attention {
                        grid: [7, 7],
                        weights: weights.collect(),
                    }),
                    log_prob: -2.0 - 0.6 * n as f64,
                    word_log_probs: vec![-0.3; words.len() + 1],
                    finished: true,
                    text,
                    words,
                }
            };
            Ok((0..options.n_best).map(sentence).collect())
        };
        std::thread::sleep(Duration::from_millis(5));
        Ok(pictures.iter().map(one).collect())
    }
}

fn main() -> Result<(), WebError> {
    let server = Server::bind("127.0.0.1", 0)?;
    let stop = Stop::default();
    let config = Config {
        model: "toy".into(),
        keys: std::env::args().skip(1).collect(),
        guard: Guard {
            loopback: true,
            ..Guard::default()
        },
        ..Config::default()
    };
    let router = router(Arc::new(Toy), config, &stop);
    println!(
        "the toy is at http://{}  (Ctrl-C ends it)",
        server.address()
    );
    // Whoever waits for the line must not wait for a full buffer. Nobody may be there to read it.
    let _ = std::io::stdout().flush();
    server.run(router, Timing::default(), &stop)
}

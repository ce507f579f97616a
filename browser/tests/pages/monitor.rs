//! The monitor while a real training runs.

use std::fs;
use std::process::{Child, Command, Stdio};

use driver::{neuraltalk, open, run, serve};

/// A training in its own process; interrupted as with Ctrl-C when it is dropped.
struct Training(Child);

impl Training {
    fn start(dataset: &str, run: &str) -> Self {
        let child = Command::new(neuraltalk())
            .args([
                "train",
                dataset,
                "--run",
                run,
                "--hidden-size",
                "16",
                "--image-encoding-size",
                "16",
            ])
            .args([
                "--word-encoding-size",
                "16",
                "--max-epochs",
                "5000",
                "--batch-size",
                "8",
                "--eval-period",
                "5",
            ])
            .args(["--word-count-threshold", "1", "--threads", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }

    fn interrupt(&mut self) {
        // One that has ended has no number any more.
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let _ = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status();
        let _ = self.0.wait();
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.interrupt();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_curves_grow_while_a_training_runs() {
    let browser = open(1440, 1500).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (data, done, live) = (path("shapes"), path("runs/done"), path("runs/live"));
    run(&["demo-data", &data, "--images", "60"]);
    let options = [
        "--hidden-size",
        "8",
        "--image-encoding-size",
        "8",
        "--word-encoding-size",
        "8",
    ];
    let options = [
        &[
            "train",
            &data,
            "--run",
            &done,
            "--max-epochs",
            "4",
            "--batch-size",
            "8",
        ],
        &options[..],
    ]
    .concat();
    run(&options);
    let runs = folder.path().join("runs");
    let status = runs.join("old/status");
    fs::create_dir_all(&status).expect("folders");
    fs::write(
        status.join("half_status.json"),
        r#"{"params": {"dataset": "coco", "#,
    )
    .expect("written");
    let served = serve(neuraltalk(), &["monitor", &path("runs"), "--port", "0"]);
    browser.goto(&served.address).await;
    browser
        .wait("document.querySelectorAll('#runs tbody tr').length === 2")
        .await;
    browser
        .wait("document.querySelector('#live').textContent === 'Live'")
        .await;
    browser
        .wait("document.querySelector('#runs').textContent.includes('half-written')")
        .await;

    // A run that starts now appears by itself and its numbers grow.
    let mut training = Training::start(&data, &live);
    browser.wait("[...document.querySelectorAll('#runs tbody tr')].some((r) => r.dataset.run.endsWith('/live'))").await;
    let live = "[...document.querySelectorAll('#runs tbody tr')].find((r) => r.dataset.run.endsWith('/live'))";
    browser
        .wait(&format!("{live}.textContent.includes('Running')"))
        .await;
    let iteration = format!(
        "Number([...{live}.children].map((c) => c.textContent).find((t) => /^[\\d,]+ \\/ [\\d,]{{5,}}$/.test(t))?.split(' ')[0].replaceAll(',', '') ?? 0)"
    );
    let before = browser.js(&iteration).await.as_f64().expect("a number");
    browser.wait(&format!("{iteration} > {before} + 5")).await;
    let label = "(document.querySelector('.plot').getAttribute('aria-label') ?? '')";
    browser.wait(&format!("{label}.includes('live')")).await;
    let first = browser.js(label).await;
    browser.wait(&format!("({label}) !== {first}")).await;
    browser
        .wait("document.querySelectorAll('.uplot canvas').length >= 3")
        .await;
    browser.pictures("monitor").await;

    // Only what differs is a column; all of it when asked for.
    let heads = "[...document.querySelectorAll('th.parameter')].map((h) => h.textContent)";
    browser
        .wait(&format!(
            "{heads}.includes('hidden-size') && !{heads}.includes('solver')"
        ))
        .await;
    browser
        .js("document.querySelector('input[name=parameters][value=all]').click()")
        .await;
    browser.wait(&format!("{heads}.includes('solver')")).await;
    browser
        .js("document.querySelector('input[name=parameters][value=none]').click()")
        .await;
    browser.wait(&format!("{heads}.length === 0")).await;

    // Filter by a parameter, by a word, by nonsense.
    let shown = "[...document.querySelectorAll('#runs tbody tr')].map((r) => r.dataset.run.split('/').pop()).join()";
    browser.type_into("#filter", "hidden-size=16").await;
    browser.wait(&format!("{shown} === 'live'")).await;
    browser
        .js("document.querySelector('#filter').value = ''")
        .await;
    browser.type_into("#filter", "nosuch=1").await;
    browser
        .wait("!document.querySelector('#filter-problem').hidden")
        .await;
    browser
        .js("document.querySelector('#filter').value = ''")
        .await;
    browser.type_into("#filter", "zebra").await;
    browser
        .wait("!document.querySelector('#empty').hidden")
        .await;
    browser.js("(() => { const f = document.querySelector('#filter'); f.value = ''; f.dispatchEvent(new Event('input')); })()").await;
    browser
        .wait("document.querySelectorAll('#runs tbody tr').length === 3")
        .await;

    // Sorting, both ways; what has no number stands last.
    browser.click("[data-sort=val]").await;
    browser
        .wait("document.querySelector('th[aria-sort=ascending]').textContent.startsWith('Val ppl')")
        .await;
    browser.click("[data-sort=val]").await;
    browser
        .wait("document.querySelector('th[aria-sort=descending] button').dataset.sort === 'val'")
        .await;
    let last = browser.js(&format!("{shown}.split(',').pop()")).await;
    assert_eq!(last, "half_status.json");

    // One curve less, then a logarithmic axis, zoom and back.
    let lines = "document.querySelector('.plot').getAttribute('aria-label').split(';').length";
    browser.wait(&format!("{lines} === 2")).await;
    browser
        .js(&format!("{live}.querySelector('input').click()"))
        .await;
    browser.wait(&format!("{lines} === 1")).await;
    browser
        .js(&format!("{live}.querySelector('input').click()"))
        .await;
    browser.wait(&format!("{lines} === 2")).await;
    browser.click("#log").await;
    browser.js("document.querySelector('.plot').focus()").await;
    browser.press("+").await;
    browser
        .wait("!document.querySelector('#unzoom').disabled")
        .await;
    browser.click("#unzoom").await;
    browser
        .wait("document.querySelector('#unzoom').disabled")
        .await;
    browser.js("(() => { const s = document.querySelector('#smoothing'); s.value = 0.9; s.dispatchEvent(new Event('input')); })()").await;
    assert_eq!(browser.text("#smoothing-value").await, "0.90");

    // Captions of the last validation beside their pictures.
    let done = "[...document.querySelectorAll('#runs tbody tr')].find((r) => r.dataset.run.endsWith('/done'))";
    browser
        .js(&format!("{done}.querySelector('button').click()"))
        .await;
    browser
        .wait("document.querySelectorAll('.samples img').length >= 2")
        .await;
    browser.wait("[...document.querySelectorAll('.samples img')].every((i) => i.complete && i.naturalWidth === 96)").await;
    browser.pictures("monitor-samples").await;
    browser.is_accessible("monitor").await;
    browser.is_quiet().await;
    training.interrupt();
    browser
        .wait(&format!("{live}.textContent.includes('Stopped')"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_says_what_it_waits_for_and_a_phone_is_wide_enough() {
    let browser = open(500, 900).await;
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().to_string_lossy();
    let mut served = serve(neuraltalk(), &["monitor", &empty, "--port", "0"]);
    browser.goto(&served.address).await;
    browser
        .wait("document.querySelector('#empty').textContent.includes('Waiting for runs in')")
        .await;
    browser.pictures("monitor-empty").await;
    browser.is_accessible("empty monitor").await;
    served.end();
    browser
        .wait("document.querySelector('#live').textContent === 'Reconnecting'")
        .await;
}

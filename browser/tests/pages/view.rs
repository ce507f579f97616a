//! The viewer: search, order, comparison, and the file that needs no server.

use std::fs;
use std::path::Path;

use serde_json::json;

use driver::{neuraltalk, open, picture, run, serve};

/// A result of a hundred pictures, the first twelve of which are there.
fn results(folder: &Path, name: &str, better: bool) -> String {
    let words = ["dog", "cat", "bird", "horse", "child"];
    let blobs: Vec<_> = (0..100)
        .map(|n| {
            let animal = words[n % 5];
            let right = if better { n % 2 == 0 } else { n % 3 == 0 };
            let verb = if right { "runs" } else { "sits" };
            json!({
                "imgid": n, "img_path": format!("{n}.png"),
                "references": [{"text": format!("a {animal} runs over the grass")}, {"text": format!("one {animal} in a field")}],
                "candidate": {"text": format!("a {animal} {verb} over the grass"), "logprob": -1.0 - n as f64 / 10.0},
            })
        })
        .collect();
    let path = folder.join(name);
    let text = json!({"imgblobs": blobs, "params": {}, "checkpoint_params": {}, "gtppl": 15.6})
        .to_string();
    fs::write(&path, text).expect("written");
    for n in 0..12u32 {
        let file = folder.join(format!("{n}.png"));
        fs::write(file, picture(320, 240, (20 * n) as u8)).expect("written");
    }
    path.to_string_lossy().into_owned()
}

const CAPTIONS: &str =
    "[...document.querySelectorAll('.cards .caption')].map((c) => c.textContent)";

#[tokio::test(flavor = "multi_thread")]
async fn search_order_and_the_large_picture() {
    let browser = open(1360, 1000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = results(folder.path(), "a.json", false);
    let served = serve(neuraltalk(), &["view", &file, "--port", "0"]);
    browser.goto(&served.address).await;
    browser.wait(&format!("{CAPTIONS}.length >= 36")).await;
    browser
        .wait("document.querySelector('#scores').textContent.includes('CIDEr')")
        .await;
    browser.pictures("view").await;
    // The end comes into sight, and more appear until all are there.
    browser.js("scrollTo(0, document.body.scrollHeight)").await;
    browser.wait(&format!("{CAPTIONS}.length >= 72")).await;
    browser.js("scrollTo(0, document.body.scrollHeight)").await;
    browser.wait(&format!("{CAPTIONS}.length === 100")).await;
    browser.js("scrollTo(0, 0)").await;

    browser.type_into("#search", "HORSE runs").await;
    browser
        .wait("document.querySelector('#count').textContent === '7 of 100 pictures'")
        .await;
    assert_eq!(
        browser
            .js("document.querySelector('.cards mark').textContent")
            .await,
        "horse"
    );
    browser
        .js("document.querySelector('#search').value = ''")
        .await;
    browser.type_into("#search", "field").await;
    browser
        .wait("!document.querySelector('#empty').hidden")
        .await;
    browser.click("#references").await;
    browser
        .wait("document.querySelector('#count').textContent === '100 pictures'")
        .await;
    browser.js("(() => { const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input')); })()").await;

    browser
        .js("document.querySelector('#sort').value = 'log_prob'")
        .await;
    browser.click("#worst").await;
    let first = "document.querySelector('.cards .facts').textContent";
    browser
        .wait(&format!("{first}.includes('log p -10.90')"))
        .await;
    browser.click("#best").await;
    browser
        .wait(&format!("{first}.includes('log p -1.00')"))
        .await;
    browser
        .js("document.querySelector('#sort').value = 'CIDEr'")
        .await;
    browser.click("#best").await;
    browser
        .wait(&format!("{CAPTIONS}[0].includes('runs')"))
        .await;
    browser.click("#random").await;
    let order = browser.js(CAPTIONS).await;
    browser.click("#random").await;
    browser
        .wait(&format!(
            "JSON.stringify({CAPTIONS}) !== {:?}",
            order.to_string()
        ))
        .await;

    // Large, with the keyboard there and back.
    browser.js("(() => { document.querySelector('#sort').value = ''; document.querySelector('#sort').dispatchEvent(new Event('change')); document.querySelector('.picture').focus(); })()").await;
    browser.press("\u{e007}").await;
    browser.wait("document.querySelector('#large').open").await;
    browser
        .wait("document.querySelector('#large img').naturalWidth === 320")
        .await;
    browser.press("\u{e014}").await;
    browser
        .wait("document.querySelector('#large-title').textContent === '1.png'")
        .await;
    browser.pictures("view-large").await;
    browser.press("\u{e00c}").await;
    browser.wait("!document.querySelector('#large').open").await;
    assert_eq!(
        browser
            .js("[...document.querySelectorAll('.picture')].indexOf(document.activeElement)")
            .await,
        1
    );
    browser.js("scrollTo(0, document.body.scrollHeight)").await;
    browser
        .wait("document.querySelector('.cards').textContent.includes('The picture was not found')")
        .await;
    browser.is_accessible("viewer").await;
    // Pictures that are not there are answered 404, which the console notes; nothing else.
    let logs = browser.logs().await;
    assert!(
        logs.iter().all(|log| log.contains("/api/picture")),
        "{logs:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_are_compared() {
    let browser = open(1360, 1000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let old = results(folder.path(), "old.json", false);
    let new = results(folder.path(), "new.json", true);
    let served = serve(neuraltalk(), &["view", &old, &new, "--port", "0"]);
    browser.goto(&served.address).await;
    browser.wait(&format!("{CAPTIONS}.length >= 72")).await;
    // The greatest gain first: sits in the old file, runs in the new.
    let first = "[...document.querySelectorAll('.cards > li:first-child .caption')].map((c) => c.textContent).join('|')";
    browser
        .wait(&format!("/^Aa \\w+ sits.*\\|Ba \\w+ runs/.test({first})"))
        .await;
    let marked = "[...document.querySelectorAll('.cards > li:first-child ins')].map((i) => i.textContent).join()";
    assert_eq!(browser.js(marked).await, "sits,runs");
    browser.pictures("view-compare").await;
    browser.click("#worst").await;
    browser
        .wait(&format!("/^Aa \\w+ runs.*\\|Ba \\w+ sits/.test({first})"))
        .await;
    browser.is_accessible("comparison").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exported_file_works_from_a_disk() {
    let browser = open(1360, 1000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let results = results(folder.path(), "a.json", false);
    for (name, embed) in [("link.html", false), ("embed.html", true)] {
        let file = folder.path().join(name);
        let html = file.to_string_lossy();
        let words = ["view", &results, "--html", &html, "--embed"];
        run(&words[..if embed { 5 } else { 4 }]);
        if embed {
            // The file alone, without the pictures beside it.
            fs::remove_file(folder.path().join("0.png")).expect("removed");
        }
        browser.goto(&format!("file://{}", file.display())).await;
        browser.wait(&format!("{CAPTIONS}.length >= 36")).await;
        browser
            .wait("document.querySelector('.cards img').naturalWidth === 320")
            .await;
        browser.type_into("#search", "horse").await;
        browser
            .wait("document.querySelector('#count').textContent === '20 of 100 pictures'")
            .await;
        browser.is_accessible(name).await;
        browser.is_quiet().await;
    }
    browser.pictures("view-exported").await;
}

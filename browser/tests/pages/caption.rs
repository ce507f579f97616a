//! The captioning page: every way in, the words with their attention, errors for people.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use driver::{Browser, Served, checkout, example, neuraltalk, open, picture, serve};

fn service(keys: &[&str]) -> Served {
    serve(example("toy_service"), keys)
}

/// Files for the page, as a `DataTransfer` that an event can carry.
fn files(all: &[(&str, &str, &[u8])]) -> String {
    let files: Vec<String> = all
        .iter()
        .map(|(name, media, bytes)| {
            let bytes = STANDARD.encode(bytes);
            format!("new File([Uint8Array.from(atob('{bytes}'), (c) => c.charCodeAt(0))], '{name}', {{type: '{media}'}})")
        })
        .collect();
    format!(
        "[{}].reduce((d, f) => (d.items.add(f), d), new DataTransfer())",
        files.join(",")
    )
}

async fn drop_files(browser: &Browser, all: &[(&str, &str, &[u8])]) {
    let event = format!(
        "new DragEvent('drop', {{dataTransfer: {}, bubbles: true, cancelable: true}})",
        files(all)
    );
    browser
        .js(&format!(
            "document.querySelector('#drop').dispatchEvent({event})"
        ))
        .await;
}

const BEST: &str = "document.querySelector('#best').textContent";

#[tokio::test(flavor = "multi_thread")]
async fn drop_paste_choose_and_look() {
    let browser = open(1360, 1000).await;
    let served = service(&[]);
    browser.goto(&served.address).await;
    browser
        .wait("document.querySelector('#model').textContent === 'toy'")
        .await;
    browser.pictures("caption-empty").await;
    browser.is_accessible("empty captioning page").await;
    let wide = picture(640, 420, 60);
    drop_files(&browser, &[("wide.png", "image/png", &wide)]).await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 640 columns'"))
        .await;
    assert_eq!(
        browser
            .js("document.querySelectorAll('#list li').length")
            .await,
        5
    );
    assert!(browser.text("#list li").await.contains("14 %"), "exp(-2)");

    // A word shows where the model looked.
    browser
        .js("document.querySelectorAll('button.word')[3].focus()")
        .await;
    browser
        .wait("document.querySelector('#heat').classList.contains('shown')")
        .await;
    assert_eq!(browser.text("#focus-word").await, "picture");
    // Dark in the corner that was not looked at, clear where it was.
    let darkness = |x: f64, y: f64| {
        format!(
            "(() => {{ const c = document.querySelector('#heat'); return c.getContext('2d').getImageData(c.width * {x}, c.height * {y}, 1, 1).data[3]; }})()"
        )
    };
    let seen = browser
        .js(&darkness(0.5, 0.5))
        .await
        .as_f64()
        .expect("a number");
    let unseen = browser
        .js(&darkness(0.95, 0.05))
        .await
        .as_f64()
        .expect("a number");
    assert!(seen < 40.0 && unseen > 150.0, "{seen} {unseen}");
    browser.pictures("caption-attention").await;

    // Another sentence, with the keyboard.
    browser
        .js("document.querySelectorAll('#list button')[1].focus()")
        .await;
    browser.press("\u{e007}").await;
    browser
        .wait(&format!("{BEST} === 'a quite wide picture of 640 columns'"))
        .await;
    assert_eq!(
        browser
            .js("document.activeElement === document.querySelectorAll('#list button')[1]")
            .await,
        true
    );

    // Options: fewer captions; words drawn.
    browser.js("document.querySelector('#n').focus()").await;
    browser.press("\u{e012}\u{e012}").await;
    browser
        .wait("document.querySelectorAll('#list li').length === 3")
        .await;
    browser
        .js("document.querySelector('#temperature').focus()")
        .await;
    browser.press("\u{e014}").await;
    browser.wait(&format!("{BEST}.includes('drawn')")).await;
    assert_eq!(
        browser
            .js("document.querySelector('#beam_size').disabled")
            .await,
        true
    );
    browser.click("#usual").await;
    browser.wait(&format!("{BEST}.includes('wide')")).await;

    // Paste, then choose two files.
    let narrow = picture(333, 250, 160);
    let paste = format!(
        "new ClipboardEvent('paste', {{clipboardData: {}, bubbles: true}})",
        files(&[("p.png", "image/png", &narrow)])
    );
    browser
        .js(&format!("document.dispatchEvent({paste})"))
        .await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 333 columns'"))
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one.png"), folder.path().join("two.png"));
    std::fs::write(&one, picture(111, 90, 0)).expect("written");
    std::fs::write(&two, picture(222, 90, 250)).expect("written");
    browser
        .type_into("#file", &format!("{}\n{}", one.display(), two.display()))
        .await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 111 columns'"))
        .await;
    browser
        .wait("document.querySelectorAll('#strip li').length === 4")
        .await;
    browser.wait("[...document.querySelectorAll('#strip button')].every((b) => b.getAttribute('aria-label').includes('columns'))").await;
    browser
        .js("document.querySelectorAll('#strip button')[1].click()")
        .await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 222 columns'"))
        .await;
    assert_eq!(
        browser.js("document.querySelector('#picture').alt").await,
        "a very wide picture of 222 columns"
    );

    browser
        .js("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        .await;
    browser.click("#copy").await;
    browser
        .wait("window.copied === 'A very wide picture of 222 columns.'")
        .await;
    browser.is_accessible("captioning page").await;
    browser.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_camera_is_described_several_times_a_second() {
    let browser = open(1360, 900).await;
    let served = service(&[]);
    browser.goto(&served.address).await;
    browser.click("#camera").await;
    browser
        .wait("document.querySelector('#rate').textContent.includes('captions a second')")
        .await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 320 columns'"))
        .await;
    browser
        .wait("Number(document.querySelector('#rate').textContent.split(' ')[0]) >= 2")
        .await;
    browser.pictures("caption-camera").await;
    browser.is_accessible("camera").await;
    browser.click("#camera").await;
    browser.wait("document.querySelector('#video').srcObject === null && !document.querySelector('#invite').hidden").await;
    browser.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_said_to_a_person() {
    let browser = open(500, 900).await;
    let mut served = service(&["open sesame"]);
    browser.goto(&served.address).await;
    let small = picture(50, 50, 0);
    drop_files(&browser, &[("a.png", "image/png", &small)]).await;
    browser
        .wait("!document.querySelector('#key-form').hidden && document.activeElement.id === 'key'")
        .await;
    browser.press("open sesame\u{e007}").await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 50 columns'"))
        .await;
    let problem = "document.querySelector('#problem').textContent";
    drop_files(
        &browser,
        &[("fake.png", "image/png", b"this is no picture")],
    )
    .await;
    browser
        .wait(&format!("{problem}.includes('JPEG, PNG')"))
        .await;
    browser.pictures("caption-error").await;
    browser.is_accessible("captioning page with an error").await;
    drop_files(&browser, &[("a.txt", "text/plain", b"text")]).await;
    browser
        .wait(&format!("{problem}.includes('a.txt” is no picture')"))
        .await;
    drop_files(
        &browser,
        &[("half.png", "image/png", &small[..small.len() / 2])],
    )
    .await;
    browser
        .wait(&format!("{problem}.includes('cut off')"))
        .await;
    served.end();
    drop_files(&browser, &[("a.png", "image/png", &small)]).await;
    browser
        .wait(&format!("{problem}.includes('The server did not answer')"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_and_the_description() {
    let browser = open(1200, 900).await;
    let served = service(&[]);
    browser.goto(&served.address).await;
    drop_files(&browser, &[("a.png", "image/png", &picture(400, 300, 90))]).await;
    browser
        .wait(&format!("{BEST} === 'a very wide picture of 400 columns'"))
        .await;
    browser.js("document.activeElement.blur()").await;
    // Every control is reached, in an order that follows the page.
    let mut reached = Vec::new();
    for _ in 0..30 {
        browser.press("\u{e004}").await;
        let name = browser
            .js("document.activeElement.id || document.activeElement.textContent.trim()")
            .await;
        reached.push(name.as_str().expect("a name").to_owned());
    }
    let place = |name: &str| {
        reached
            .iter()
            .position(|r| r == name)
            .unwrap_or_else(|| panic!("{name}: {reached:?}"))
    };
    let order = [
        "Skip to the captions",
        "API",
        "theme",
        "choose",
        "camera",
        "very",
        "copy",
        "usual",
        "n",
        "beam_size",
        "temperature",
    ];
    let places: Vec<usize> = order.iter().map(|name| place(name)).collect();
    assert!(places.is_sorted(), "{reached:?}");
    browser.goto(&format!("{}/docs", served.address)).await;
    browser
        .wait("document.querySelectorAll('#operations section').length >= 8")
        .await;
    assert!(browser.text("#start").await.contains(&served.address));
    browser.pictures("docs").await;
    browser.is_accessible("docs").await;
    browser.is_quiet().await;
}

/// The program itself with the model that comes with it, and photographs.
#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_model_describes_photographs() {
    let browser = open(1360, 1000).await;
    let served = serve(neuraltalk(), &["serve", "--port", "0", "--log", "quiet"]);
    browser.goto(&served.address).await;
    let examples = checkout().join("examples").canonicalize();
    let examples = examples.expect("the examples are there");
    let files = ["cat.jpg", "astronaut.jpg", "coffee.jpg", "rocket.jpg"]
        .map(|name| examples.join(name).to_string_lossy().into_owned());
    browser.type_into("#file", &files.join("\n")).await;
    browser.wait("[...document.querySelectorAll('#strip button')].filter((b) => /: \\w+( \\w+)+/.test(b.getAttribute('aria-label'))).length === 4").await;
    browser
        .wait("document.querySelectorAll('#list li').length === 5")
        .await;
    // The likeliest first.
    let shares =
        "[...document.querySelectorAll('#list .share')].map((s) => parseFloat(s.textContent))";
    assert_eq!(
        browser
            .js(&format!(
                "{shares}.every((p, i, all) => !i || p <= all[i - 1])"
            ))
            .await,
        true
    );
    browser.pictures("caption-photograph").await;
    browser.is_accessible("a photograph and its captions").await;
    browser.is_quiet().await;
}

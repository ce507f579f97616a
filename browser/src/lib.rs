//! Starting the browser and the pages' servers, waiting, looking, checking for accessibility.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// One browser at a time: machines with two cores run these tests too.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// axe-core as Deque publishes it (MPL-2.0), for these tests only.
const AXE: &str = include_str!("../axe/axe.min.js");

/// A browser with one page.
pub struct Browser {
    driver: Child,
    pub page: Client,
    _one: MutexGuard<'static, ()>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with it.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A browser with a window of that size, or the reason why there is none, printed.
pub async fn open(width: u32, height: u32) -> Option<Browser> {
    let one = ONE.lock().await;
    let port = free_port();
    let started = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let driver = match started {
        Ok(driver) => driver,
        Err(error) => {
            println!("skipped: chromedriver doesn't start: {error}");
            return None;
        }
    };
    let options = json!({"args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--force-device-scale-factor=1", format!("--window-size={width},{height}"),
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        // Nothing outside this machine has a name.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]});
    let mut wanted = serde_json::Map::new();
    wanted.insert("goog:chromeOptions".into(), options);
    wanted.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(wanted);
    let address = format!("http://127.0.0.1:{port}");
    let deadline = Instant::now() + Duration::from_secs(60);
    let page = loop {
        match builder.connect(&address).await {
            Ok(page) => break page,
            Err(error) if deadline < Instant::now() => {
                println!("skipped: Chromium doesn't start: {error}");
                return None;
            }
            // The driver is still starting.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    Some(Browser {
        driver,
        page,
        _one: one,
    })
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A program that serves a page, until it is dropped.
pub struct Served {
    pub address: String,
    program: Child,
}

/// Starts it and waits for the line that names its address.
pub fn serve(program: PathBuf, words: &[&str]) -> Served {
    let mut child = Command::new(&program)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("`{}`: {error}; build it first", program.display()));
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    let address = address
        .unwrap_or_else(|| panic!("no address in `{line}`"))
        .to_owned();
    Served {
        address,
        program: child,
    }
}

impl Served {
    /// Ends it and waits until it has ended.
    pub fn end(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// The project's own program.
pub fn neuraltalk() -> PathBuf {
    built().join("neuraltalk")
}

/// One of its examples.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// Where `cargo build` put them: `NEURALTALK_BUILT`, else the checkout's debug build.
fn built() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug");
    std::env::var_os("NEURALTALK_BUILT").map_or_else(usual, PathBuf::from)
}

/// Runs the program to its end, which must be a good one.
pub fn run(words: &[&str]) {
    let output = Command::new(neuraltalk())
        .args(words)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {text}");
}

/// What the page logged; chromedriver's own command.
#[derive(Debug)]
struct Logs;

impl WebDriverCompatibleCommand for Logs {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or("")))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({"type": "browser"}).to_string()),
        )
    }
}

impl Browser {
    pub async fn goto(&self, address: &str) {
        self.page.goto(address).await.expect("the page loads");
    }

    /// The value of a JavaScript expression.
    pub async fn js(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.page
            .execute(&script, vec![])
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true.
    pub async fn wait(&self, expression: &str) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while self.js(expression).await != Value::Bool(true) {
            if deadline < Instant::now() {
                self.picture("failed").await;
                let text = self.js("document.body.innerText").await;
                panic!(
                    "never true: {expression}\nconsole: {:?}\npage:\n{text}",
                    self.logs().await
                );
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    /// The text of an element.
    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .js(&format!("document.querySelector({selector:?}).textContent"))
            .await;
        text.as_str().expect("text").to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let found = self.page.find(fantoccini::Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    pub async fn type_into(&self, selector: &str, text: &str) {
        let found = self.page.find(fantoccini::Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element
            .send_keys(text)
            .await
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let active = self
            .page
            .active_element()
            .await
            .expect("something has the focus");
        active.send_keys(keys).await.expect("keys are taken");
    }

    /// Leaves a picture of the page in `target/screenshots`.
    pub async fn picture(&self, name: &str) {
        let bytes = self.page.screenshot().await.expect("a picture");
        let folder = screenshots();
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
    }

    pub async fn logs(&self) -> Vec<String> {
        let logs = self.page.issue_cmd(Logs).await.expect("logs");
        let entries = logs.as_array().cloned().unwrap_or_default();
        let severe = entries
            .into_iter()
            .filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// No error in the console: no script that fails, nothing that the page's own policy refuses.
    pub async fn is_quiet(&self) {
        let logs = self.logs().await;
        assert!(logs.is_empty(), "{logs:#?}");
    }

    /// axe finds nothing serious, in light and in dark.
    pub async fn is_accessible(&self, page: &str) {
        self.page.execute(AXE, vec![]).await.expect("axe loads");
        for theme in ["light", "dark"] {
            self.js(&format!(
                "document.documentElement.dataset.theme = {theme:?}"
            ))
            .await;
            let script = "const done = arguments[arguments.length - 1];
                axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations
                    .filter((v) => ['serious', 'critical'].includes(v.impact))
                    .map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary)])));";
            let found = self
                .page
                .execute_async(script, vec![])
                .await
                .expect("axe runs");
            assert_eq!(found, json!([]), "{page}, {theme}: {found:#}");
        }
    }
}

fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots")
}

/// A PNG with a gradient, so that a page with pictures looks like one.
pub fn picture(width: u32, height: u32, hue: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    let share = |at: u32, of: u32| (255 * at / of.max(1)) as u8;
    let pixels: Vec<u8> = (0..width * height)
        .flat_map(|i| [share(i % width, width), hue, share(i / width, height)])
        .collect();
    writer.write_image_data(&pixels).expect("pixels");
    drop(writer);
    bytes
}

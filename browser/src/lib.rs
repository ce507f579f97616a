//! The pages in a real browser: starting it, waiting, pressing, reading.
//!
//! Here: Chromium through chromedriver. Not here: the programs behind the pages (`served.rs`), how the
//! pages look (`look.rs`). Nothing here waits for a time: every wait is for something to be true, with a
//! bound that a machine under load keeps too.

mod look;
mod served;

use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

pub use look::picture;
pub use served::{Served, checkout, example, neuraltalk, run, serve};

/// One browser at a time: machines with two cores run these tests too.
static ONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// How long anything may take that a person would see at once.
const BOUND: Duration = Duration::from_secs(120);

/// A browser with one page.
pub struct Browser {
    driver: Child,
    page: Client,
    _one: MutexGuard<'static, ()>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends Chromium and removes its profile; ending the driver alone may leave both.
        let close = tokio::time::timeout(BOUND, self.page.clone().close());
        let _ = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(close));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A browser with a window of that size.
pub async fn open(width: u32, height: u32) -> Browser {
    let one = ONE.lock().await;
    let port = free_port();
    let driver = std::process::Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver: {error}; install Chromium and its driver"));
    let options = json!({"args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-extensions",
        "--force-device-scale-factor=1", "--hide-scrollbars", format!("--window-size={width},{height}"),
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        // Nothing outside this machine has a name.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]});
    let bound_ms = BOUND.as_millis() as u64;
    let mut wanted = serde_json::Map::new();
    wanted.insert("goog:chromeOptions".into(), options);
    wanted.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
    wanted.insert(
        "timeouts".into(),
        json!({"script": bound_ms, "pageLoad": bound_ms, "implicit": 0}),
    );
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(wanted);
    let address = format!("http://127.0.0.1:{port}");
    let deadline = Instant::now() + BOUND;
    let page = loop {
        match builder.connect(&address).await {
            Ok(page) => break page,
            Err(error) if deadline < Instant::now() => panic!("Chromium does not start: {error}"),
            // The driver is still starting.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    Browser {
        driver,
        page,
        _one: one,
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// One of chromedriver's own commands, which WebDriver doesn't have.
#[derive(Debug)]
struct Command {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or(""), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    pub async fn goto(&self, address: &str) {
        let loaded = self.page.goto(address).await;
        loaded.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// The value of a JavaScript expression.
    pub async fn js(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let value = self.page.execute(&script, vec![]).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true.
    pub async fn wait(&self, expression: &str) {
        let deadline = Instant::now() + BOUND;
        while self.js(expression).await != Value::Bool(true) {
            if deadline < Instant::now() {
                let text = self.js("document.body.innerText").await;
                let logs = self.logs().await;
                panic!("never true: {expression}\nconsole: {logs:?}\npage:\n{text}");
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

    async fn element(&self, selector: &str) -> Element {
        let found = self.page.find(Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    pub async fn click(&self, selector: &str) {
        let clicked = self.element(selector).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    pub async fn type_into(&self, selector: &str, text: &str) {
        let typed = self.element(selector).await.send_keys(text).await;
        typed.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let active = self.page.active_element().await;
        let active = active.expect("something has the focus");
        active.send_keys(keys).await.expect("keys are taken");
    }

    /// Errors that the page logged since it was last asked.
    pub async fn logs(&self) -> Vec<String> {
        let command = Command {
            path: "se/log",
            body: json!({"type": "browser"}),
        };
        let logs = self.page.issue_cmd(command).await.expect("logs");
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
}

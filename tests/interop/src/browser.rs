//! Chromium without a window, spoken to over its debugging pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long an answer of the browser may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names that distributions give it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page, and what the page complained about. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    complaints: Vec<String>,
    profile: PathBuf,
}

impl Browser {
    /// Starts the browser (`KCPTUN_CHROMIUM`, or Debian's package `chromium`).
    ///
    /// # Panics
    ///
    /// When it is missing, with how to get it, or does not answer.
    pub fn start() -> Self {
        let profile = std::env::temp_dir().join(format!("kcptun-browser-{}", std::process::id()));
        // The pipe has to be the file descriptors 3 and 4.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(find()).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("sh starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let messages = receive(output.expect("it is piped"));
        let mut browser = Self {
            child,
            input: input.expect("it is piped"),
            messages,
            session: None,
            next_id: 0,
            complaints: Vec::new(),
            profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(String::from);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(domain, json!({}));
        }
        browser
    }

    /// Opens an address.
    ///
    /// # Panics
    ///
    /// When the browser cannot.
    pub fn open(&mut self, address: &str) {
        let opened = self.call("Page.navigate", json!({ "url": address }));
        assert!(opened["errorText"].is_null(), "{address}: {opened}");
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Asks an expression again and again until its value fits; `None` after `limit`.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        expression: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let end = Instant::now() + limit;
        loop {
            let value = self.evaluate(expression);
            if fits(&value) {
                return Some(value);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes the page believe in a window of this size, in CSS pixels, and that the user wants
    /// `scheme` (`light` or `dark`).
    pub fn pretend(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// A picture of the page, as PNG in base64.
    pub fn picture(&mut self) -> String {
        let picture = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        picture["data"].as_str().unwrap_or_default().into()
    }

    /// Errors and warnings of the console so far, and exceptions that nobody caught.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let mut message = message.unwrap_or_else(|_| panic!("{method}: the browser is silent"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.listen(&message);
        }
    }

    fn listen(&mut self, event: &Value) {
        let parameters = &event["params"];
        let is_bad = |level: &Value| matches!(level.as_str(), Some("error" | "warning" | "assert"));
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => &parameters["exceptionDetails"],
            Some("Runtime.consoleAPICalled") if is_bad(&parameters["type"]) => &parameters["args"],
            Some("Log.entryAdded") if is_bad(&parameters["entry"]["level"]) => &parameters["entry"],
            _ => return,
        };
        self.complaints.push(complaint.to_string());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Messages end with a zero byte.
fn receive(output: ChildStdout) -> Receiver<Value> {
    let (give, take) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while let Ok(1..) = output.read_until(0, &mut bytes) {
            bytes.pop();
            let message = serde_json::from_slice(&bytes);
            bytes.clear();
            if message.is_ok_and(|message| give.send(message).is_err()) {
                return;
            }
        }
    });
    take
}

fn find() -> PathBuf {
    if let Some(told) = std::env::var_os("KCPTUN_CHROMIUM").filter(|told| !told.is_empty()) {
        return told.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = NAMES.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    found.into_iter().find(|file: &PathBuf| Path::is_file(file)).unwrap_or_else(|| {
        panic!("no Chromium: apt-get install chromium, or name one in KCPTUN_CHROMIUM")
    })
}

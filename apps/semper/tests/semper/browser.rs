//! A real browser: Debian's Chromium, headless, driven through its own driver. It has a profile of its own and reaches loopback only.
//!
//! Every screen that a test looks at is written to `target/tmp/screens/NAME.png`, for the eyes of whoever changes a page.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::runtime::Runtime;

use crate::world::{Process, until};

/// Bumped together with what is looked up here.
const AXE: &str = "axe-core@4.14.1";
/// How long a page may take to say what is expected of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// More places than Tab stops at on any page.
const FOCUSED_MAX: usize = 80;
/// WCAG 2.2 AA, and what it contains.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

pub struct Browser {
    runtime: Runtime,
    driver: WebDriver,
    /// Where the browser's driver listens.
    port: u16,
    _profile: tempfile::TempDir,
    _process: Process,
}

impl Browser {
    /// A fresh browser that asks for pages in `language`.
    pub fn new(language: &str) -> Self {
        Self::with(language, "--blink-settings=preferredColorScheme=1")
    }

    /// The same for somebody who likes dark pages.
    pub fn dark(language: &str) -> Self {
        Self::with(language, "--blink-settings=preferredColorScheme=0")
    }

    fn with(language: &str, colours: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).spawn();
        let process =
            Process::of(driver.expect("chromedriver is not there: install Debian's chromium and chromium-driver"));
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            // Shared memory is small in containers.
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Whatever is not on this machine is not found: a page that needs it would show it.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE *.localhost , EXCLUDE 127.0.0.1",
            "--window-size=1100,900",
            colours,
        ];
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in arguments {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        capabilities.add_arg(&format!("--lang={language}")).unwrap();
        let prefs = json!({ "intl.accept_languages": language, "download.default_directory": profile.path() });
        capabilities.add_experimental_option("prefs", prefs).unwrap();
        let runtime = Runtime::new().unwrap();
        let mut connected = None;
        until(|| {
            connected = runtime.block_on(WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities.clone())).ok();
            connected.is_some().then_some(())
        });
        let driver = connected.expect("the browser does not start");
        Self { runtime, driver, port, _profile: profile, _process: process }
    }

    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.driver.goto(url)).unwrap();
    }

    /// From now on its user agrees when a page wants to open links of a scheme (HTML, "RPH registration mode").
    pub fn accepts_handlers(&self) {
        let path = format!("session/{}/custom-handlers/set-mode", self.driver.session_id());
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        let set = reqwest::Client::new().post(url).json(&json!({ "mode": "autoAccept" })).send();
        let answer = self.runtime.block_on(async { set.await?.error_for_status() });
        answer.unwrap();
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.runtime.block_on(self.driver.current_url()).unwrap().to_string()
    }

    /// The text of the first element that fits, as it is drawn.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let text = self.run(&format!("return document.querySelector({})?.innerText", json!(css)));
        text.as_str().unwrap_or_else(|| panic!("there is no {css} at {}", self.url())).to_owned()
    }

    pub fn count(&self, css: &str) -> usize {
        self.runtime.block_on(self.driver.find_all(By::Css(css))).unwrap().len()
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        self.click_on(By::Css(css));
    }

    /// Follows the link with this text.
    #[track_caller]
    pub fn follow(&self, text: &str) {
        self.click_on(By::PartialLinkText(text));
    }

    /// An open page may put a fresh copy of an element into its place between a look and the click.
    #[track_caller]
    fn click_on(&self, what: By) {
        let click = || self.runtime.block_on(async { self.driver.find(what.clone()).await?.click().await });
        let clicked = click().or_else(|_| click());
        clicked.unwrap_or_else(|error| panic!("{what:?} at {}: {error}", self.url()));
    }

    pub fn fill(&self, css: &str, text: &str) {
        let filled = async {
            let field = self.driver.find(By::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.runtime.block_on(filled).unwrap();
    }

    /// Presses a key, wherever the focus is.
    pub fn press(&self, key: Key) {
        self.runtime.block_on(async { self.driver.active_element().await?.send_keys(key + "").await }).unwrap();
    }

    /// Types words, wherever the focus is.
    pub fn write(&self, words: &str) {
        self.runtime.block_on(async { self.driver.active_element().await?.send_keys(words).await }).unwrap();
    }

    /// Goes on with Tab until the focus is on what fits.
    #[track_caller]
    pub fn tab_to(&self, css: &str) {
        for _ in 0..FOCUSED_MAX {
            if self.run(&format!("return document.activeElement.matches({})", json!(css))) == true {
                return;
            }
            self.press(Key::Tab);
        }
        panic!("Tab never comes to {css} at {}", self.url());
    }

    /// What a script says.
    pub fn run(&self, script: &str) -> Value {
        self.runtime.block_on(self.driver.execute(script, Vec::new())).unwrap().json().clone()
    }

    /// What the body of an asynchronous function says.
    #[track_caller]
    pub fn run_async(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, e => done('failed: ' + e));"
        );
        self.runtime.block_on(self.driver.execute_async(&script, Vec::new())).unwrap().json().clone()
    }

    /// Waits until the page says something, without loading it again.
    #[track_caller]
    pub fn wait_for(&self, css: &str, part: &str) {
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let script = format!(
                "return [...document.querySelectorAll({})].some(e => e.textContent.includes({}))",
                json!(css),
                json!(part)
            );
            if self.run(&script) == true {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{part:?} never appears in {css}: {}", self.text("body"));
    }

    /// Waits until nothing on the page fits any more, without loading it again.
    #[track_caller]
    pub fn wait_gone(&self, css: &str) {
        let begun = std::time::Instant::now();
        while self.count(css) > 0 {
            assert!(begun.elapsed() < PATIENCE, "{css} stays: {}", self.text("body"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Opens another tab of the same browser and goes there; its name, and that of the one before.
    pub fn open_tab(&self, url: &str) -> [WindowHandle; 2] {
        let opened = async {
            let (before, new) = (self.driver.window().await?, self.driver.new_tab().await?);
            self.driver.switch_to_window(new.clone()).await?;
            self.driver.goto(url).await?;
            Ok::<_, WebDriverError>([new, before])
        };
        self.runtime.block_on(opened).unwrap()
    }

    pub fn switch_to(&self, tab: &WindowHandle) {
        self.runtime.block_on(self.driver.switch_to_window(tab.clone())).unwrap();
    }

    /// Every tab and window that is open.
    pub fn tabs(&self) -> Vec<WindowHandle> {
        self.runtime.block_on(self.driver.windows()).unwrap()
    }

    /// The text of the first frame of the page, whoever it belongs to.
    pub fn text_in_frame(&self) -> String {
        let read = async {
            self.driver.enter_frame(0).await?;
            let text = self.driver.find(By::Css("body")).await?.text().await?;
            self.driver.enter_default_frame().await?;
            Ok::<_, WebDriverError>(text)
        };
        self.runtime.block_on(read).unwrap()
    }

    pub fn size(&self, width: u32, height: u32) {
        self.runtime.block_on(self.driver.set_window_rect(0, 0, width, height)).unwrap();
    }

    /// Looks at the screen: it is kept as a picture, nobody who reads it with other means is shut out (axe-core, WCAG 2.2 AA), nothing
    /// sticks out at its side, and the browser has refused nothing that the page wanted to do.
    #[track_caller]
    pub fn look(&self, name: &str) {
        self.look_only(name);
        let violations = self.violations();
        assert!(violations.is_empty(), "{name}: {violations:#?}");
        let wide = self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(wide, 0, "{name} is wider than the window");
    }

    /// Keeps a picture of the screen, whatever it is.
    pub fn look_only(&self, name: &str) {
        let screens = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
        std::fs::create_dir_all(&screens).unwrap();
        // The whole page, not what of it fits into the window.
        let [width, inner, outer, height] =
            ["outerWidth", "innerHeight", "outerHeight", "document.documentElement.scrollHeight"]
                .map(|size| u32::try_from(self.run(&format!("return {size}")).as_u64().unwrap()).unwrap());
        self.size(width, outer + height.saturating_sub(inner));
        let picture = self.runtime.block_on(self.driver.screenshot_as_png()).unwrap();
        self.size(width, outer);
        std::fs::write(screens.join(format!("{name}.png")), picture).unwrap();
    }

    /// What axe-core finds, in words.
    fn violations(&self) -> Vec<String> {
        let script = format!(
            "{}\nconst done = arguments[arguments.length - 1];\n\
             axe.run(document, {{ runOnly: {} }}).then(r => done(r.violations.map(v => v.id + ': ' + v.help + ' ' + \
             v.nodes.map(n => n.html).join(' | '))), e => done(['axe failed: ' + e]));",
            axe(),
            json!(RULES)
        );
        let found = self.runtime.block_on(self.driver.execute_async(&script, Vec::new())).unwrap();
        serde_json::from_value(found.json().clone()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.driver.clone().quit());
    }
}

/// The checker, installed once into the target directory (needs Debian's `nodejs` and `npm`).
fn axe() -> &'static str {
    static AXE_CODE: OnceLock<String> = OnceLock::new();
    AXE_CODE.get_or_init(|| {
        let directory: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(AXE.replace('@', "-"));
        let code = directory.join("node_modules/axe-core/axe.min.js");
        if !code.exists() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("package.json"), "{\"private\":true}").unwrap();
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", AXE]).current_dir(&directory);
            assert!(npm.status().expect("npm is not there").success(), "{AXE} cannot be installed");
        }
        std::fs::read_to_string(code).unwrap()
    })
}

/// A server of somebody else on this machine, which has one page for whoever comes.
pub fn shop(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), page.as_bytes()].concat());
        }
    });
    port
}

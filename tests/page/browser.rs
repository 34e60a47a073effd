//! The page in a real browser: Debian's Chromium, without a screen, as wide as a
//! desk's and as a telephone's. Where there is none, the test says so and is skipped.
//!
//! What the page says on the console and asks of networks is read from the browser's
//! logs; a copy of it, which does both on purpose, must be found out.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::util::command::{assert_code, run};
use crate::util::fixture;

/// The browser, if there is one.
fn browser() -> Option<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["chromium", "chromium-browser"].into_iter().find(is_there)
}

/// Opens a page with further arguments.
fn open(browser: &str, folder: &Path, page: &Path, more: &[String]) -> Output {
    let mut command = Command::new(browser);
    command
        // Tests run as root in containers, where Chromium has no sandbox of its own.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-extensions", "--disable-sync", "--enable-logging=stderr"])
        // The browser's own services are not asked either.
        .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(more)
        .arg(format!("file://{}", page.display()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// What the page said on the console.
fn console(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| line.contains("CONSOLE")).collect()
}

/// What a page from a file asked of any network, from the browser's log of it.
fn asked(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("\"constants\""), "a log of the network");
    let of_pages = log.lines().filter(|line| line.contains("\"network_isolation_key\":\"file:"));
    of_pages
        .filter_map(|line| Some(line.split_once("\"url\":\"")?.1.split('"').next()?.to_owned()))
        .filter(|url| !url.starts_with("file:") && !url.starts_with("data:"))
        .collect()
}

/// Into the copy: it says what a reader would not see, whether it is wider than its
/// window, whether pictures could not be shown, whether sorting works; and does what
/// the page must not.
const PROBE: &str = r#"<script>addEventListener("load", () => {
    const head = [...document.querySelectorAll("table.rows th")].find(h => h.textContent === "confidence");
    const at = [...head.parentElement.cells].indexOf(head);
    head.click();
    const rows = [...document.querySelectorAll("table.rows tbody tr")];
    const told = {
        wide: document.documentElement.scrollWidth, window: innerWidth,
        images: document.images.length, filters: document.querySelectorAll("input.filter").length,
        broken: [...document.images].filter(i => i.complete && i.naturalWidth === 0).length,
        sorted: rows.map(r => r.cells[at].textContent),
    };
    console.error("probe");
    new Image().src = "http://127.0.0.1:9/probe.png";
    parent.postMessage(JSON.stringify(told), "*");
});</script></body>"#;

/// Around the copy: a window of a width that no browser's own can have.
const AROUND: &str = r#"<!doctype html><link rel="icon" href="data:,"><iframe src="copy.html" width="WIDTH"
    height="800"></iframe><script>addEventListener("message", (event) =>
    document.documentElement.setAttribute("data-told", event.data));</script>"#;

#[test]
fn a_real_browser_finds_nothing_wrong_and_asks_nobody() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no chromium (apt-get install chromium)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (out, page, copy, around) =
        (at("galaxies"), at("page.html"), at("copy.html"), at("around.html"));
    let (inputs, labels) = (fixture("galaxies"), fixture("galaxies/labels.csv"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = ["classify", &text(&inputs), "--output", &text(&out), "--quiet"];
    assert_code(&run(arguments), 0);
    let arguments = ["report", &text(&out), "--labels", &text(&labels), "-o", &text(&page)];
    assert_code(&run(arguments), 0);
    let html = fs::read_to_string(&page).unwrap();
    let (before, rest) = html.split_once("<meta http-equiv").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    fs::write(&copy, format!("{before}{after}").replace("</body>", PROBE)).unwrap();

    for width in [1280, 390] {
        let (log, picture) = (at("net.json"), at("picture.png"));
        let more = |log: &Path| {
            vec![
                format!("--window-size={width},900"),
                format!("--log-net-log={}", log.display()),
                format!("--screenshot={}", picture.display()),
            ]
        };
        let opened = open(browser, folder.path(), &page, &more(&log));
        assert_eq!(console(&opened), "");
        assert_eq!(asked(&log), [""; 0]);
        assert!(fs::metadata(&picture).unwrap().len() > 10_000, "a picture of the page");

        fs::write(&around, AROUND.replace("WIDTH", &width.to_string())).unwrap();
        let mut more = vec![format!("--log-net-log={}", log.display())];
        more.extend(["--dump-dom", "--window-size=1400,900"].map(str::to_owned));
        let opened = open(browser, folder.path(), &around, &more);
        assert!(console(&opened).contains("probe"), "what is said is heard");
        assert!(asked(&log).iter().any(|url| url.contains("probe")), "what is asked is seen");
        let dom = String::from_utf8_lossy(&opened.stdout);
        let told = dom.split("data-told=\"").nth(1).expect("the copy has told").split('"').next();
        let told: Value = serde_json::from_str(&told.unwrap().replace("&quot;", "\"")).unwrap();
        assert_eq!(told["window"], width);
        assert!(
            told["wide"].as_u64() <= told["window"].as_u64(),
            "no wider than its window: {told}"
        );
        assert_eq!((&told["broken"], &told["filters"]), (&0.into(), &1.into()));
        assert!(told["images"].as_u64().unwrap() > 25);
        let sorted = told["sorted"].as_array().unwrap().iter();
        let sorted: Vec<f64> = sorted.map(|cell| cell.as_str().unwrap().parse().unwrap()).collect();
        assert!(sorted.len() == 25 && sorted.is_sorted(), "{sorted:?}");
    }
}

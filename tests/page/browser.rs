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
use crate::util::{fixture, root};

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
/// the page must not. It points at the first galaxy on the map of the sky, for the position
/// that is told there, looks at the map from near, and picks out a curve.
const PROBE: &str = r#"<script>addEventListener("load", () => {
    const head = [...document.querySelectorAll("table.rows th")].find(h => h.textContent === "confidence");
    const at = [...head.parentElement.cells].indexOf(head);
    head.click();
    const rows = [...document.querySelectorAll("table.rows tbody tr")];
    const map = document.querySelector("svg.sky"), whole = map.getAttribute("viewBox");
    const [x, y] = map.querySelector(".dots").getAttribute("d").match(/[\d.]+/g).map(Number);
    const dot = new DOMPoint(x, y).matrixTransform(map.getScreenCTM());
    map.dispatchEvent(new PointerEvent("pointermove", { clientX: dot.x, clientY: dot.y }));
    document.querySelector(".zoom button").click();
    const near = map.getAttribute("viewBox");
    document.querySelector("ul.legend li").dispatchEvent(new PointerEvent("pointerenter"));
    const told = {
        wide: document.documentElement.scrollWidth, window: innerWidth,
        images: document.images.length, filters: document.querySelectorAll("input.filter").length,
        broken: [...document.images].filter(i => i.complete && i.naturalWidth === 0).length,
        sorted: rows.map(r => r.cells[at].textContent),
        place: document.querySelector(".zoom output").textContent, whole, near,
        picked: document.querySelectorAll("svg.dims g.shown").length,
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
    // A part of the sky, and all of it, each on a desk's screen and on a telephone's.
    // Positions are told to so many degrees, less than from one galaxy to the next.
    for (name, spread, within) in [("part", [0.4, 0.2], 0.1), ("all", [14.0, 6.0], 0.3)] {
        let places = make_page(folder.path(), name, spread);
        let html = fs::read_to_string(folder.path().join("page.html")).unwrap();
        assert_eq!(html.contains("data-sky=\"plate"), name == "part");
        for width in [1280, 390] {
            looks_right(browser, folder.path(), width, (&places, within));
        }
    }
}

/// Galaxies, so many degrees from one to the next; the second is where they lie.
fn table(folder: &Path, [across, up]: [f64; 2]) -> (String, Vec<[f64; 2]>) {
    let labels = fs::read_to_string(fixture("galaxies/labels.csv")).unwrap();
    let ids: Vec<&str> =
        labels.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let mut lines = "id,path,ra,dec\n".to_owned();
    let mut places = Vec::new();
    for (id, k) in ids.into_iter().zip(0..) {
        let path = fixture(&format!("galaxies/{id}.jpg"));
        let [ra, dec] = [5.0 + across * f64::from(k), up * f64::from(k % 13 - 6)];
        lines += &format!("{id},{},{ra},{dec}\n", path.display());
        places.push([ra, dec]);
    }
    let path = folder.join("galaxies.csv");
    fs::write(&path, lines).unwrap();
    (path.to_str().unwrap().to_owned(), places)
}

/// Whether a position as the page tells it, `RA 12.3°, Dec −4.5°`, is one of these within
/// so many degrees.
fn is_one_of(told: &str, (places, within): (&[[f64; 2]], f64)) -> bool {
    let number = |text: &str| text.replace('−', "-").replace('°', "").parse::<f64>().unwrap();
    let (ra, dec) = told.strip_prefix("RA ").unwrap().split_once(", Dec ").unwrap();
    let (ra, dec) = (number(ra), number(dec));
    places.iter().any(|at| (at[0] - ra).abs() < within && (at[1] - dec).abs() < within)
}

/// Makes `page.html` of a run, and `copy.html`, which is probed; says where the galaxies
/// lie.
fn make_page(folder: &Path, name: &str, spread: [f64; 2]) -> Vec<[f64; 2]> {
    let at = |name: &str| folder.join(name);
    let out = at(&format!("galaxies-{name}"));
    let (page, copy) = (at("page.html"), at("copy.html"));
    let (inputs, places) = table(folder, spread);
    let labels = fixture("galaxies/labels.csv");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let model = text(&root().join("models/hiwl-b1.safetensors"));
    let classify = ["classify", &inputs, "--model", &model, "--output", &text(&out), "--quiet"];
    assert_code(&run(classify), 0);
    let arguments = ["report", &text(&out), "--labels", &text(&labels), "--model", &model];
    assert_code(&run(arguments.iter().chain(&["-o", &text(&page)])), 0);
    let html = fs::read_to_string(&page).unwrap();
    let (before, rest) = html.split_once("<meta http-equiv").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    fs::write(&copy, format!("{before}{after}").replace("</body>", PROBE)).unwrap();
    places
}

fn looks_right(browser: &str, folder: &Path, width: u64, places: (&[[f64; 2]], f64)) {
    let at = |name: &str| folder.join(name);
    let (page, around) = (at("page.html"), at("around.html"));
    let (log, picture) = (at("net.json"), at("picture.png"));
    let more = |log: &Path| {
        vec![
            format!("--window-size={width},900"),
            format!("--log-net-log={}", log.display()),
            format!("--screenshot={}", picture.display()),
        ]
    };
    // Those of the width before would do for this one.
    [&log, &picture].into_iter().for_each(|file| drop(fs::remove_file(file)));
    let opened = open(browser, folder, &page, &more(&log));
    assert_eq!(console(&opened), "");
    assert_eq!(asked(&log), [""; 0]);
    assert!(fs::metadata(&picture).unwrap().len() > 10_000, "a picture of the page");

    fs::write(&around, AROUND.replace("WIDTH", &width.to_string())).unwrap();
    let mut more = vec![format!("--log-net-log={}", log.display())];
    more.extend(["--dump-dom", "--window-size=1400,900"].map(str::to_owned));
    let opened = open(browser, folder, &around, &more);
    assert!(console(&opened).contains("probe"), "what is said is heard");
    assert!(asked(&log).iter().any(|url| url.contains("probe")), "what is asked is seen");
    let dom = String::from_utf8_lossy(&opened.stdout);
    let told = dom.split("data-told=\"").nth(1).expect("the copy has told").split('"').next();
    let told: Value = serde_json::from_str(&told.unwrap().replace("&quot;", "\"")).unwrap();
    assert_eq!(told["window"], width);
    assert!(told["wide"].as_u64() <= told["window"].as_u64(), "no wider than its window: {told}");
    assert_eq!((&told["broken"], &told["filters"]), (&0.into(), &1.into()));
    assert!(told["images"].as_u64().unwrap() > 25);
    let sorted = told["sorted"].as_array().unwrap().iter();
    let sorted: Vec<f64> = sorted.map(|cell| cell.as_str().unwrap().parse().unwrap()).collect();
    assert!(sorted.len() == 25 && sorted.is_sorted(), "{sorted:?}");
    assert!(is_one_of(told["place"].as_str().unwrap(), places), "{told}");
    let wide = |name: &str| -> f64 {
        told[name].as_str().unwrap().split(' ').nth(2).unwrap().parse().unwrap()
    };
    assert!((wide("whole") / wide("near") - 2.0).abs() < 1e-6, "{told}");
    assert_eq!(told["picked"], 1);
}

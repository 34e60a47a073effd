//! What pages are made of: the frame, foreign text, pictures as part of the page.

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::storage::shown;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Text that comes from files: nothing in it acts, and none of it turns what stands
/// around it.
pub(super) fn foreign(text: &str) -> Markup {
    html! { bdi { (shown::line(text)) } }
}

/// Bytes as the address of a picture.
pub(super) fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// A part of a page: its name in the address, its heading, and what stands in it.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) content: Markup,
}

/// A whole page.
pub(super) fn page(title: &str, lead: &Markup, sections: &[Section]) -> String {
    // The page's own script and no other.
    let script = BASE64_STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; \
         base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("hiwl ", env!("CARGO_PKG_VERSION")));
                link rel="icon" href="data:,";
                title { (shown::line(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (foreign(title)) }
                    (lead)
                    nav { @for section in sections { a href=(format!("#{}", section.id)) { (section.title) } } }
                }
                main {
                    @for section in sections {
                        section id=(section.id) { h2 { (section.title) } (section.content) }
                    }
                }
                footer { "Made by hiwl " (env!("CARGO_PKG_VERSION")) ". This file needs no other." }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// A number that the reader's eye should fall on, and what it is.
pub(super) fn card(value: &str, what: &str) -> Markup {
    html! { div class="card" { b { (value) } span { (what) } } }
}

/// A drawing with a heading above.
pub(super) fn panel(title: &str, content: &Markup) -> Markup {
    html! { div class="panel" { h3 { (foreign(title)) } (content) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::chart::COLOURS;

    #[test]
    fn foreign_text_is_text() {
        let shown = foreign("<script>alert('x')</script>\"\n\u{202e}gpj").into_string();
        assert_eq!(
            shown,
            "<bdi>&lt;script&gt;alert('x')&lt;/script&gt;&quot;\\n\\u{202e}gpj</bdi>"
        );
        // The style sheet and files of charts alone have the same colours.
        for (place, colour) in COLOURS.iter().enumerate() {
            assert!(STYLE.contains(&format!("--c{place}: {colour};")), "{colour}");
        }
        // The page's own files must not end their elements.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
    }
}

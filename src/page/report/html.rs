//! What pages are made of: the frame, foreign text, pictures as part of the page.

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
    format!("data:{kind};base64,{}", base64(bytes))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            let there = letter <= three.len();
            let value = (bits >> (18 - 6 * letter)) & 63;
            text.push(if there { LETTERS[value as usize] as char } else { '=' });
        }
    }
    text
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
    let script = base64(&Sha256::digest(SCRIPT.as_bytes()));
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

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn foreign_text_is_text() {
        let shown = foreign("<script>alert('x')</script>\"\n\u{202e}gpj").into_string();
        assert_eq!(
            shown,
            "<bdi>&lt;script&gt;alert('x')&lt;/script&gt;&quot;\\n\\u{202e}gpj</bdi>"
        );
        // The page's own files must not end their elements.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
    }
}

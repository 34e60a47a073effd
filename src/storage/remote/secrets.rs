//! What a URL should not tell: a user's name and password before its host, and
//! the keys and signatures in its query.
//!
//! Listings, settings and catalogs are kept and passed on, so a URL with
//! credentials is refused where inputs are listed, and nothing that is kept or
//! printed quotes them. Invariant: [`concealed`] leaves neither in any text that
//! holds such URLs.

use std::borrow::Cow;

/// What parts of a query's names say that their values are nobody's business:
/// those of Amazon's, Google's and Azure's signed URLs, and of services.
const KEYS: [&str; 10] =
    ["sig", "token", "credential", "passw", "secret", "key", "auth", "session", "jwt", "user"];

const HIDDEN: &str = "***";

/// A text in which no URL has credentials any more.
pub(crate) fn concealed(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return text.into();
    }
    let mut shown = String::new();
    let mut kept = 0;
    for (at, _) in text.match_indices("://") {
        let start = at + "://".len();
        if start < kept {
            continue;
        }
        let url = &text[start..start + text[start..].find(ends).unwrap_or(text.len() - start)];
        let host = url.find(['/', '?', '#']).unwrap_or(url.len());
        // Of abfs://container@account the container is no secret.
        let is_container = text[..at].ends_with("abfs") || text[..at].ends_with("abfss");
        let user =
            url[..host].rfind('@').filter(|user| !is_container || url[..*user].contains(':'));
        if let Some(user) = user {
            shown.push_str(&text[kept..start]);
            shown.push_str(HIDDEN);
            kept = start + user;
        }
        let Some(query) = url.find('?') else { continue };
        let mut place = start + query + 1;
        for pair in url[query + 1..].split(['&', ';']) {
            let name = pair.split('=').next().unwrap_or_default();
            let value = place + name.len() + 1;
            let lower = name.to_ascii_lowercase();
            if name.len() + 1 < pair.len() && KEYS.iter().any(|key| lower.contains(key)) {
                shown.push_str(&text[kept..value]);
                shown.push_str(HIDDEN);
                kept = place + pair.len();
            }
            place += pair.len() + 1;
        }
    }
    // Hiding what is hidden already changes nothing, and is no finding.
    match kept {
        0 => text.into(),
        kept => {
            shown.push_str(&text[kept..]);
            if shown == text { text.into() } else { shown.into() }
        }
    }
}

/// Where a URL ends within a text.
fn ends(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '|' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_secrets(url: &str) -> bool {
        matches!(concealed(url), Cow::Owned(_))
    }

    #[test]
    fn credentials_of_urls_are_hidden_wherever_they_stand() {
        for (text, shown) in [
            ("https://me:pass@host/a.jpg", "https://***@host/a.jpg"),
            ("s3://KEY:se/cret", "s3://KEY:se/cret"),
            ("s3://KEY:secret@bucket/x", "s3://***@bucket/x"),
            (
                "at https://u@h:8080: no (https://v:w@h/y)",
                "at https://***@h:8080: no (https://***@h/y)",
            ),
            (
                "https://h/a?ra=1.5&X-Amz-Signature=abc&X-Amz-Credential=d&w=2",
                "https://h/a?ra=1.5&X-Amz-Signature=***&X-Amz-Credential=***&w=2",
            ),
            ("https://h?sv=1;sig=a%3D\" x", "https://h?sv=1;sig=***\" x"),
            ("https://u:p@h/x?Token=t#f", "https://***@h/x?Token=***"),
            ("https://a:b@c://d:e@f", "https://***@c://***@f"),
        ] {
            assert_eq!(concealed(text), shown);
            assert_eq!(holds_secrets(text), text != shown, "{text}");
            assert_eq!(concealed(shown), shown, "hidden once");
        }
        for plain in [
            "https://host/cutout?ra=10&dec=-3&layer=ls-dr9",
            "https://host/user@home/a.jpg",
            "abfss://container@account.dfs.core.windows.net/a.jpg",
            "mail me@host",
            "://",
            "https://h/?sig&token=",
            "Ω://é@",
        ] {
            let hides = plain == "Ω://é@";
            assert_eq!(holds_secrets(plain), hides, "{plain}");
        }
    }
}

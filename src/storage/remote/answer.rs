//! What a store answered that is no success, as the system's error.
//!
//! Readers and writers know files: a missing object is a missing file, a
//! store that forbids is a file without permission. `object_store` tells some
//! of it by its variants; of a listing it tells nothing, so the status is read
//! from the words of the innermost cause, whose type it keeps to itself.
//!
//! Invariant: the same answer gives the same words, one line without times:
//! they become a column of the catalog.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::Error;
use object_store::client::HttpError;

/// How the cause begins that quotes a store's status; the body follows it.
const STATUS: &str = "Server returned non-2xx status code: ";
/// How the cause begins where a bucket is of another region.
const REDIRECT: &str = "Received redirect without LOCATION";

/// A store's error as the system's.
pub(super) fn of(error: Error) -> io::Error {
    let answer = answer(&error);
    let told = match &error {
        Error::NotFound { .. } => Some(ErrorKind::NotFound),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Some(ErrorKind::PermissionDenied)
        }
        Error::AlreadyExists { .. } => Some(ErrorKind::AlreadyExists),
        Error::NotImplemented { .. } | Error::NotSupported { .. } => Some(ErrorKind::Unsupported),
        Error::InvalidPath { .. } => Some(ErrorKind::InvalidInput),
        _ => None,
    };
    match answer {
        Some((kind, words)) => io::Error::new(told.unwrap_or(kind), words),
        None => io::Error::new(told.unwrap_or(ErrorKind::Other), one_line(&error.to_string())),
    }
}

/// What the store said, or that it said nothing; `None` for an error of
/// another origin.
fn answer(error: &Error) -> Option<(ErrorKind, String)> {
    let mut cause = error.source();
    let mut silent = false;
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some(status) = text.strip_prefix(STATUS) {
            return Some(refusal(status));
        }
        if text.starts_with(REDIRECT) {
            let words = "the store leads elsewhere: is the bucket of another region?";
            return Some((ErrorKind::InvalidInput, words.to_owned()));
        }
        silent |= error.is::<HttpError>();
        cause = error.source();
        if cause.is_none() && silent {
            return Some((
                ErrorKind::Other,
                format!("the store does not answer: {}", one_line(&text)),
            ));
        }
    }
    None
}

/// `404 Not Found: <Error><Code>…` as a kind and words.
fn refusal(status: &str) -> (ErrorKind, String) {
    let (line, body) = status.split_once(": ").unwrap_or((status, ""));
    let between = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(one_line(rest.split_once("</")?.0)).filter(|text| !text.is_empty())
    };
    let code = between("Code").unwrap_or_default();
    let kind = match line.split(' ').next().unwrap_or_default() {
        "404" => ErrorKind::NotFound,
        "401" | "403" => ErrorKind::PermissionDenied,
        // These two pass: a token is renewed, a slow request repeated.
        "400" if code != "ExpiredToken" && code != "RequestTimeout" => ErrorKind::InvalidInput,
        "301" | "307" | "308" => ErrorKind::InvalidInput,
        "501" => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    let words = match (code.as_str(), between("Message")) {
        ("", None) => format!("the store answers {}", one_line(line)),
        (code, message) => {
            format!("the store answers {}: {code} {}", one_line(line), message.unwrap_or_default())
        }
    };
    (kind, words.trim_end().to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_a_kind_and_one_line_of_words() {
        let body = "<?xml?>\n<Error><Code>NoSuchBucket</Code>\n<Message>The specified bucket does \
                    not exist</Message></Error>";
        let (kind, words) = refusal(&format!("404 Not Found: {body}"));
        assert_eq!(kind, ErrorKind::NotFound);
        assert_eq!(
            words,
            "the store answers 404 Not Found: NoSuchBucket The specified bucket does not exist"
        );
        for (status, kind) in [
            ("403 Forbidden: ", ErrorKind::PermissionDenied),
            ("400 Bad Request: <Code>InvalidBucketName</Code>", ErrorKind::InvalidInput),
            ("400 Bad Request: <Code>ExpiredToken</Code>", ErrorKind::Other),
            ("500 Internal Server Error: <Code>", ErrorKind::Other),
            ("501 Not Implemented", ErrorKind::Unsupported),
        ] {
            assert_eq!(refusal(status).0, kind, "{status}");
        }
        assert_eq!(refusal("503 Slow Down: ").1, "the store answers 503 Slow Down");
    }
}

//! The words of a condition, each with its place.

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A column or a keyword: which one is for the parser to say.
    Word(String),
    /// `"in double quotes"`: always a column.
    Quoted(String),
    /// `'in single quotes'`.
    Text(String),
    /// A number as it was written.
    Number(String),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
    /// After the last word.
    End,
}

/// Longer ones before those with which they begin.
const SIGNS: [&str; 11] = ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];

/// The tokens with their places in characters, the last one [`Token::End`];
/// or the place of what is none, and what is wrong.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let token = if c == '\'' || c == '"' {
            let inner = quoted(&chars, &mut at)?;
            if c == '\'' { Token::Text(inner) } else { Token::Quoted(inner) }
        } else if c.is_alphabetic() || c == '_' {
            Token::Word(run(&chars, &mut at, |c| c.is_alphanumeric() || c == '_'))
        } else if begins_number(&chars[at..]) {
            number(&chars, &mut at)
        } else {
            let rest = &chars[at..];
            let sign =
                SIGNS.iter().find(|sign| rest.iter().copied().take(sign.len()).eq(sign.chars()));
            let sign = sign.ok_or_else(|| (start, format!("`{c}` means nothing here")))?;
            at += sign.len();
            Token::Sign(sign)
        };
        tokens.push((start, token));
    }
    tokens.push((at, Token::End));
    Ok(tokens)
}

/// What is between quotes; a doubled quote is one.
fn quoted(chars: &[char], at: &mut usize) -> Result<String, (usize, String)> {
    let (start, quote) = (*at, chars[*at]);
    let mut inner = String::new();
    *at += 1;
    loop {
        match (chars.get(*at), chars.get(*at + 1)) {
            (None, _) => return Err((start, "the quote that begins here does not end".into())),
            (Some(c), Some(next)) if *c == quote && *next == quote => {
                inner.push(quote);
                *at += 2;
            }
            (Some(c), _) if *c == quote => {
                *at += 1;
                return Ok(inner);
            }
            (Some(c), _) => {
                inner.push(*c);
                *at += 1;
            }
        }
    }
}

fn run(chars: &[char], at: &mut usize, belongs: impl Fn(char) -> bool) -> String {
    let run: String = chars[*at..].iter().copied().take_while(|c| belongs(*c)).collect();
    *at += run.chars().count();
    run
}

fn begins_number(rest: &[char]) -> bool {
    let unsigned = match rest {
        ['-' | '+', rest @ ..] => rest,
        rest => rest,
    };
    matches!(unsigned, [c, ..] if c.is_ascii_digit())
        || matches!(unsigned, ['.', c, ..] if c.is_ascii_digit())
}

/// `-1`, `0.8`, `.5`, `1e-3`. What runs on (`1x`) is left for the parser to
/// refuse as a number.
fn number(chars: &[char], at: &mut usize) -> Token {
    let mut text = String::new();
    while let Some(&c) = chars.get(*at) {
        let after_exponent = text.ends_with(['e', 'E']);
        let sign = matches!(c, '-' | '+') && (text.is_empty() || after_exponent);
        if !(sign || c.is_alphanumeric() || matches!(c, '.' | '_')) {
            break;
        }
        text.push(c);
        *at += 1;
    }
    Token::Number(text)
}

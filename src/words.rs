//! Numbers and suggestions in messages, for whoever writes one.
//!
//! Invariant: one of a thing is never told in the plural.

/// `12,345,678`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `2,878 rows`: what is counted stands in both forms, with the verb that
/// goes with it where there is one (`row is`, `rows are`).
pub fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { more })
}

/// `1 of 3 rows is`, `2 of 3 rows are`: the noun agrees with the whole, the verb with
/// the part.
pub fn part_of(part: u64, whole: u64, noun: [&str; 2], verb: [&str; 2]) -> String {
    let form = |n: u64| usize::from(n != 1);
    let whole = counted(whole, noun[0], noun[1]);
    format!("{} of {whole} {}", count(part), verb[form(part)])
}

/// The name that is nearest to a misspelt one, if any is near: at most a third of
/// its letters are others, left out or in each other's places, or it begins so.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = name.to_lowercase();
    let most = (wrong.chars().count() / 3).max(1);
    let scored = names.into_iter().filter_map(|name| {
        let right = name.to_lowercase();
        let mistakes = strsim::osa_distance(&wrong, &right);
        let begins = wrong.len() > 2 && right.starts_with(&wrong);
        (mistakes <= most || begins).then_some((mistakes, name))
    });
    scored.min_by_key(|(mistakes, _)| *mistakes).map(|(_, name)| name)
}

/// The question behind a message about a misspelt name, if some name is near.
pub fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|near| format!("did you mean `{near}`?"))
}

/// `told; did you mean ...?`, or what is told alone where nothing is near.
pub fn suggesting(told: impl Into<String>, question: Option<&str>) -> String {
    let mut told = told.into();
    if let Some(question) = question {
        told.push_str("; ");
        told.push_str(question);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_in_the_singular_and_nothing_else_is() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let rows = [0, 1, 2, 2878].map(|n| counted(n, "row", "rows"));
        assert_eq!(rows, ["0 rows", "1 row", "2 rows", "2,878 rows"]);
        let of = |part, whole| part_of(part, whole, ["row", "rows"], ["is", "are"]);
        assert_eq!(of(1, 3), "1 of 3 rows is");
        assert_eq!(of(2, 3000), "2 of 3,000 rows are");
        assert_eq!(of(1, 1), "1 of 1 row is");
    }

    #[test]
    fn a_name_is_suggested_where_one_is_near() {
        let names = ["petroR90_r", "dec", "ra"];
        let of = |wrong| did_you_mean(wrong, names);
        assert_eq!(of("petroR9_r").as_deref(), Some("did you mean `petroR90_r`?"));
        assert_eq!(of("PETRO").as_deref(), Some("did you mean `petroR90_r`?"));
        assert_eq!(of("de").as_deref(), Some("did you mean `dec`?"));
        assert_eq!(of("redshift"), None);
        let told = |wrong| suggesting("there are dec, ra", of(wrong).as_deref());
        assert_eq!(told("decl"), "there are dec, ra; did you mean `dec`?");
        assert_eq!(told("redshift"), "there are dec, ra");
    }
}

//! Numbers as people read them, and aligned tables.

use std::fmt::Write;
use std::time::Duration;

pub use crate::words::{count, counted};

/// `1.5 GiB`, `312 MiB`, `17 kiB`, `3 B`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 10.0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// `850 ms`, `12.3 s`, `4 min 05 s`, `7 h 12 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = time.as_secs();
    if whole < 3600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
}

/// `0,2-5,9`: sorted numbers with runs of three and more drawn together, as
/// schedulers and people write them.
pub fn intervals(numbers: &[u64]) -> String {
    let mut out = Vec::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(n, expected)| **n == *expected).count();
        match run {
            1 | 2 => out.push(first.to_string()),
            _ => out.push(format!("{first}-{}", rest[run - 1])),
        }
        rest = &rest[if run == 2 { 1 } else { run }..];
    }
    out.join(",")
}

/// Lines of cells, the first column left-aligned, the others right-aligned.
pub fn table<R: AsRef<[String]>>(rows: &[R]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let letters =
        |row: &R, column: usize| row.as_ref().get(column).map_or(0, |c| c.chars().count());
    let width = |column| rows.iter().map(|row| letters(row, column)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, (cell, &width)) in row.as_ref().iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match i {
                0 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([3, 2048, 5 << 30].map(bytes), ["3 B", "2.0 kiB", "5.0 GiB"]);
        let times = [0.25, 12.34, 245.0, 25_920.0].map(Duration::from_secs_f64);
        assert_eq!(times.map(duration), ["250 ms", "12.3 s", "4 min 05 s", "7 h 12 min"]);
    }

    #[test]
    fn numbers_in_a_row_are_drawn_together() {
        for (numbers, text) in [
            (&[][..], ""),
            (&[7], "7"),
            (&[0, 1], "0,1"),
            (&[0, 1, 2, 5, 7, 8, 9, 10, 12, 13], "0-2,5,7-10,12,13"),
            (&[u64::MAX - 1, u64::MAX], "18446744073709551614,18446744073709551615"),
        ] {
            assert_eq!(intervals(numbers), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [["stage", "n"], ["read", "10,000"]].map(|r| r.map(str::to_owned));
        assert_eq!(table(&rows), "  stage       n\n  read   10,000\n");
    }
}

//! FITS with every keyword damaged, and the standard's odd corners.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::File;

const SIZE: usize = 240;

fn card(key: &str, value: &str) -> String {
    format!("{:<80}", format!("{key:<8}= {value:>20}"))
}

/// Cards and data, each padded to blocks of 2880 bytes.
fn hdu(cards: &[String], data: &[u8]) -> Vec<u8> {
    let mut bytes = cards.concat().into_bytes();
    bytes.extend(format!("{:<80}", "END").bytes());
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// The header of a good cube of three bands.
fn cube_cards() -> Vec<String> {
    let size = SIZE.to_string();
    [
        ("SIMPLE", "T"),
        ("BITPIX", "-32"),
        ("NAXIS", "3"),
        ("NAXIS1", size.as_str()),
        ("NAXIS2", size.as_str()),
        ("NAXIS3", "3"),
        ("EXTEND", "T"),
        ("BSCALE", "1.0"),
        ("BZERO", "0.0"),
        ("BANDS", "'gri     '"),
        ("CTYPE1", "'RA---TAN'"),
        ("CTYPE2", "'DEC--TAN'"),
        ("CRVAL1", "180.0"),
        ("CRVAL2", "30.0"),
        ("CRPIX1", "120.5"),
        ("CRPIX2", "120.5"),
        ("CD1_1", "-1.1E-4"),
        ("CD1_2", "0.0"),
        ("CD2_1", "0.0"),
        ("CD2_2", "1.1E-4"),
    ]
    .map(|(key, value)| card(key, value))
    .to_vec()
}

fn pixels() -> Vec<u8> {
    (0..3 * SIZE * SIZE).flat_map(|i| (i as f32 % 97.0 / 97.0).to_be_bytes()).collect()
}

/// Every card of a good file, in every way that a card can be wrong.
pub fn damaged() -> Vec<File> {
    let (cards, data) = (cube_cards(), pixels());
    let mut files = vec![File::new("fits-good.fits".into(), hdu(&cards, &data))];
    files[0].expected = Some("ok");
    for at in 0..cards.len() {
        let key = cards[at][..8].trim().to_owned();
        let mut add = |how: &str, changed: Vec<String>| {
            files.push(File::new(format!("fits-{key}-{how}.fits"), hdu(&changed, &data)));
        };
        let with = |text: String| {
            let mut changed = cards.clone();
            changed[at] = text;
            changed
        };
        let mut removed = cards.clone();
        removed.remove(at);
        add("removed", removed);
        let mut twice = cards.clone();
        twice.insert(at, cards[at].clone());
        add("twice", twice);
        for (how, value) in [
            ("negative", "-7"),
            ("zero", "0"),
            ("huge", "99999999999999999999"),
            ("large", "2147483648"),
            ("text", "'text    '"),
            ("open", "'no end"),
            ("nan", "NaN"),
            ("float", "1.5E+400"),
            ("empty", ""),
        ] {
            add(how, with(card(&key, value)));
        }
        add("no-equals", with(format!("{:<80}", format!("{key:<8}  240"))));
        add("control", with(format!("{:<80}", format!("{key:<8}= \u{1}\u{2}\t"))));
    }
    files
}

/// Structures that the standard allows, or nearly.
pub fn odd() -> Vec<File> {
    let data = pixels();
    let good = hdu(&cube_cards(), &data);
    let cards = |pairs: &[(&str, &str)]| -> Vec<String> {
        pairs.iter().map(|(key, value)| card(key, value)).collect()
    };
    let primary = [("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0"), ("EXTEND", "T")];
    let empty = hdu(&cards(&primary), &[]);
    let extension = |kind: &str, more: &[(&str, &str)], data: &[u8]| {
        let first = [("XTENSION", kind)];
        hdu(&cards(&[&first[..], more].concat()), data)
    };
    let ascii = extension(
        "'TABLE   '",
        &[
            ("BITPIX", "8"),
            ("NAXIS", "2"),
            ("NAXIS1", "10"),
            ("NAXIS2", "2"),
            ("PCOUNT", "0"),
            ("GCOUNT", "1"),
            ("TFIELDS", "1"),
            ("TBCOL1", "1"),
            ("TFORM1", "'I10     '"),
        ],
        b"         1         2",
    );
    let image = {
        let mut changed = cube_cards();
        changed[0] = card("XTENSION", "'IMAGE   '");
        changed.insert(6, card("PCOUNT", "0"));
        changed.insert(7, card("GCOUNT", "1"));
        hdu(&changed, &data)
    };
    let groups = hdu(
        &cards(&[
            ("SIMPLE", "T"),
            ("BITPIX", "-32"),
            ("NAXIS", "3"),
            ("NAXIS1", "0"),
            ("NAXIS2", "240"),
            ("NAXIS3", "3"),
            ("GROUPS", "T"),
            ("PCOUNT", "6"),
            ("GCOUNT", "240"),
        ]),
        &data,
    );
    let planes = |count: &str| {
        let mut changed = cube_cards();
        changed[5] = card("NAXIS3", count);
        hdu(&changed, &data)
    };
    let mut continued = cube_cards();
    continued.push(format!("{:<80}", "LONG    = 'a text that goes on&'"));
    for _ in 0..3000 {
        continued.push(format!("{:<80}", "CONTINUE  'and on&'"));
    }
    let mut lonely = cube_cards();
    lonely.insert(1, format!("{:<80}", "CONTINUE  'of nothing'"));
    let mut hierarch = cube_cards();
    hierarch.push(format!("{:<80}", "HIERARCH ESO DET CHIP1 NAME = 'x'"));
    let mut comments = cube_cards();
    comments.extend((0..20_000).map(|i| format!("{:<80}", format!("COMMENT {i}"))));
    let many = [&empty[..], &ascii.repeat(300)].concat();
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = gzip(&[&good[..2880], &vec![0; 300 << 20]].concat());
    let mut files: Vec<File> = [
        ("ascii-table-first", [&empty[..], &ascii, &image].concat()),
        ("ascii-table-alone", [&empty[..], &ascii].concat()),
        ("random-groups", groups),
        ("zero-planes", planes("0")),
        ("one-plane", planes("1")),
        ("two-planes", planes("2")),
        ("999-planes", planes("999")),
        ("continue", hdu(&continued, &data)),
        ("continue-of-nothing", hdu(&lonely, &data)),
        ("hierarch", hdu(&hierarch, &data)),
        ("20000-comments", hdu(&comments, &data)),
        ("300-extensions", many),
        ("no-end", good[..2880].iter().map(|b| if *b == b'E' { b'X' } else { *b }).collect()),
        ("lower-case", good[..2880].to_ascii_lowercase()),
        ("header-alone", good[..2880].to_vec()),
        ("cut-in-header", good[..1000].to_vec()),
        ("cut-in-data", good[..good.len() / 2].to_vec()),
        ("cut-in-block", good[..good.len() - 2881].to_vec()),
        ("twice", good.repeat(2)),
        ("junk-after", [&good[..], &[0xAB; 10_000]].concat()),
        ("nul-header", [&good[..80], &[0; 2800]].concat()),
    ]
    .map(|(name, bytes)| File::new(format!("fits-{name}.fits"), bytes))
    .into();
    for (name, bytes) in [
        ("gzip", gzip(&good)),
        ("gzip-twice", gzip(&gzip(&good))),
        ("gzip-cut", gzip(&good)[..5000].to_vec()),
        ("gzip-of-text", gzip(b"text")),
        ("gzip-header-alone", vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]),
        ("gzip-bomb", bomb),
    ] {
        files.push(File::new(format!("fits-{name}.fits.gz"), bytes));
    }
    files
}

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::storage::parquet::texts;

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("table");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Names, and every cell as text; `None` for a missing one.
type Cells = (Vec<String>, Vec<Vec<Option<String>>>);

fn all(path: &Path) -> Result<Cells, TableError> {
    let table = Table::open(path)?;
    let names: Vec<String> = table.columns().iter().map(|c| c.name.clone()).collect();
    let selected: Vec<usize> =
        (0..names.len()).filter(|&c| table.columns()[c].cells.is_ok()).collect();
    let names = selected.iter().map(|&c| names[c].clone()).collect();
    let mut rows = Vec::new();
    for batch in table.rows(&selected)? {
        let batch = batch?;
        let columns: Vec<_> = batch.columns().iter().map(|c| texts(c).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cell =
                |c: &arrow::array::StringArray| c.iter().nth(row).unwrap().map(str::to_owned);
            rows.push(columns.iter().map(cell).collect());
        }
    }
    Ok((names, rows))
}

fn read(bytes: &[u8]) -> Result<Cells, TableError> {
    let (_folder, path) = file(bytes);
    all(&path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn cells(rows: &[&[&str]]) -> Vec<Vec<Option<String>>> {
    rows.iter().map(|row| row.iter().map(|c| Some((*c).to_owned())).collect()).collect()
}

#[test]
fn tables_of_text_are_told_apart_by_their_names() {
    let expected = cells(&[&["007", "a, b"], &["8", ""]]);
    let texts = [
        "id,what\n007,\"a, b\"\n8,\n",
        "\u{feff}id,what\r\n007,\"a, b\"\r\n\r\n8,\r\n",
        "id\twhat\n007\ta, b\n8\t\n",
        "#Table1\nid,what\n007,\"a, b\"\n8,\n",
        "\"# of 2 galaxies, of 2004\",\nid,what\n007,\"a, b\"\n8,\n",
        "# made by numpy\n# id, what\n007,\"a, b\"\n8,\n",
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n\
         # - {name: what, datatype: string}\n# schema: astropy-2.0\nid what\n007 \"a, b\"\n8 \"\"\n",
        "# %ECSV 0.9\n# ---\n# delimiter: ','\n# datatype:\n# - {name: id, datatype: int64}\n\
         id,what\n007,\"a, b\"\n8,\n",
    ];
    for text in texts {
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let (names, rows) = read(&bytes).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(names, ["id", "what"], "{text}");
            assert_eq!(rows, expected, "{text}");
        }
    }
}

#[test]
fn what_is_wrong_with_text_is_named_with_its_line() {
    let cases = [
        ("#c\nid,x\n1,2\n1,2,3\n", "line 4: 3 fields where the header has 2"),
        ("id,x\n1,\"2\n", "line 2"),
    ];
    for (text, words) in cases {
        let text = if text.ends_with("\"2\n") {
            format!("{text}{}", "x".repeat(2 << 20))
        } else {
            text.into()
        };
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// A header of a FITS file.
fn header(cards: &[&str]) -> Vec<u8> {
    crate::storage::fits::tests::bytes(cards)
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// Two rows of: id (K), name (3A), fraction (E), votes (I, -1 for none),
/// unsigned (J with TZERO), flag (L), list (2E).
fn fits() -> Vec<u8> {
    let mut bytes = header(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"]);
    bytes.extend(header(&[
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 30",
        "NAXIS2  = 2",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "TFIELDS = 7",
        "TTYPE1  = 'id'",
        "TFORM1  = 'K'",
        "TTYPE2  = 'name'",
        "TFORM2  = '3A'",
        "TTYPE3  = 'fraction'",
        "TFORM3  = '1E'",
        "TUNIT3  = 'rad     '",
        "TTYPE4  = 'votes'",
        "TFORM4  = 'I'",
        "TNULL4  = -1",
        "TUNIT4  =",
        "TTYPE5  = 'big'",
        "TUNIT5  = 7",
        "TFORM5  = 'J'",
        "TZERO5  = 2147483648",
        "TTYPE6  = 'flag'",
        "TFORM6  = 'L'",
        "TTYPE7  = 'list'",
        "TFORM7  = '2E'",
    ]));
    let mut data = Vec::new();
    for (id, name, fraction, votes, big, flag) in [
        (587_722_981_741_363_294_i64, b"ab ", 0.1_f32, 7_i16, i32::MIN, b'T'),
        (12, b"c\0x", f32::NAN, -1, i32::MAX, b'F'),
    ] {
        data.extend(id.to_be_bytes());
        data.extend(name);
        data.extend(fraction.to_be_bytes());
        data.extend(votes.to_be_bytes());
        data.extend(big.to_be_bytes());
        data.push(flag);
        data.extend([0; 8]);
    }
    bytes.extend(padded(data));
    bytes
}

#[test]
fn a_binary_table_of_fits_is_read() {
    for bytes in [fits(), gzip(&fits())] {
        let (names, rows) = read(&bytes).unwrap();
        assert_eq!(names, ["id", "name", "fraction", "votes", "big", "flag"]);
        let mut expected = cells(&[
            &["587722981741363294", "ab", "0.1", "7", "0", "true"],
            &["12", "c", "NaN", "", "4294967295", "false"],
        ]);
        expected[1][3] = None;
        assert_eq!(rows, expected);
    }
    let (_folder, path) = file(&fits());
    let table = Table::open(&path).unwrap();
    let error = table.rows(&[0, 6]).err().unwrap().to_string();
    assert!(error.contains("column list holds lists of 2"), "{error}");
}

/// Each as the format has them; one that is unclear is no reason to refuse the table.
#[test]
fn units_are_those_that_tables_declare() {
    let of = |bytes: &[u8]| {
        let (_folder, path) = file(bytes);
        let table = Table::open(&path).unwrap();
        table.columns().iter().map(|column| column.unit.clone()).collect::<Vec<_>>()
    };
    let known = |unit: &str| Some(unit.to_owned());
    let units = of(&fits());
    assert_eq!(units[..4], [None, None, known("rad"), None]);
    assert!(units[4].as_ref().is_some_and(|words| words.contains("TUNIT5")), "{units:?}");
    let declared = String::from_utf8(votable("<TABLEDATA/>")).unwrap();
    let declared = declared.replace("name='p'", "name='p' unit=' arcmin '");
    assert_eq!(of(declared.as_bytes()), [None, None, known("arcmin"), None, None]);
    let ecsv = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n\
                # - {name: ra, unit: hourangle, datatype: float64}\n\
                # - {name: dec, datatype: float64}\nra,dec\n1,2\n";
    assert_eq!(of(ecsv.as_bytes()), [known("hourangle"), None]);

    // Of a field, and as astropy puts them beside all fields.
    let own = std::collections::HashMap::from([("unit".to_owned(), "deg".to_owned())]);
    let yaml = "datatype:\n- {name: ra, unit: rad, datatype: float64}\n\
                - {name: dec, unit: rad, datatype: float64}\n";
    let beside = [("table_meta_yaml".to_owned(), yaml.to_owned())];
    let fields = vec![
        Field::new("ra", DataType::Float64, true).with_metadata(own),
        Field::new("dec", DataType::Float64, true),
    ];
    let columns = parquet_columns(
        &Schema::new(fields).with_metadata(std::collections::HashMap::from(beside)),
    );
    let units: Vec<_> = columns.into_iter().map(|column| column.unit).collect();
    assert_eq!(units, [known("deg"), known("rad")]);
}

#[test]
fn a_fits_file_with_two_tables_or_none_is_refused() {
    let two = [fits(), fits()[2880..].to_vec()].concat();
    let error = read(&two).unwrap_err().to_string();
    assert!(error.contains("HDU 2 is a table, and so is HDU 3"), "{error}");
    let none = &fits()[..2880];
    assert!(read(none).unwrap_err().to_string().contains("without a binary table"));
    let cut = &fits()[..5780];
    let error = read(cut).unwrap_err().to_string();
    assert!(error.contains("ends early, in row 1 of HDU 2"), "{error}");
}

const VOTABLE: &str = "<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE><TABLE>\
<FIELD name='id' datatype='long'><VALUES null='-1'/></FIELD>\
<FIELD name='name' datatype='char' arraysize='*'/>\
<FIELD name='p' datatype='double'/><FIELD name='list' datatype='float' arraysize='2'/>\
<FIELD name='flag' datatype='boolean'/>\
<DATA>DATA_HERE</DATA></TABLE></RESOURCE></VOTABLE>";

fn votable(data: &str) -> Vec<u8> {
    VOTABLE.replace("DATA_HERE", data).into_bytes()
}

/// The letters of bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let triple = |three: &[u8]| {
        let bits =
            three.iter().fold(0_u32, |b, &x| (b << 8) | u32::from(x)) << (8 * (3 - three.len()));
        let letter = |at: usize| LETTERS[(bits >> (18 - 6 * at) & 63) as usize] as char;
        (0..4).map(|at| if at > three.len() { '=' } else { letter(at) }).collect::<String>()
    };
    bytes.chunks(3).map(triple).collect()
}

fn binary_row(id: i64, name: &str, p: f64, flag: u8) -> Vec<u8> {
    let mut row = id.to_be_bytes().to_vec();
    row.extend((name.len() as u32).to_be_bytes());
    row.extend(name.as_bytes());
    row.extend(p.to_be_bytes());
    row.extend([0; 8]);
    row.push(flag);
    row
}

#[test]
fn a_votable_is_read_in_each_of_its_encodings() {
    let data = "<TABLEDATA><TR><TD>587722981741363294</TD><TD> a &lt;&#98; </TD><TD>0.25</TD>\
                <TD>1 2</TD><TD>T</TD></TR><TR><TD>-1</TD><TD/><TD>NaN</TD><TD/><TD>?</TD></TR></TABLEDATA>";
    let first = binary_row(587_722_981_741_363_294, "a <b", 0.25, b'T');
    let second = binary_row(-1, "", f64::NAN, b'?');
    let binary = base64(&[first.clone(), second.clone()].concat());
    let binary = format!("<BINARY><STREAM encoding='base64'>\n{binary}\n</STREAM></BINARY>");
    // The second row's id and flag are missing by their flags too.
    let flagged = [vec![0], first, vec![0b1000_1000], second].concat();
    let binary2 =
        format!("<BINARY2><STREAM encoding='base64'>{}</STREAM></BINARY2>", base64(&flagged));
    for (data, plain) in [(data.to_owned(), true), (binary, false), (binary2, false)] {
        for bytes in [votable(&data), gzip(&votable(&data))] {
            let (names, rows) = read(&bytes).unwrap_or_else(|e| panic!("{data}: {e}"));
            assert_eq!(names, ["id", "name", "p", "flag"]);
            let first = cells(&[&["587722981741363294", "a <b", "0.25", "true"]]);
            assert_eq!(rows[0], first[0], "{plain}");
            assert_eq!(rows[1], [None, Some(String::new()), Some("NaN".into()), None]);
            assert_eq!(rows.len(), 2);
        }
    }
}

#[test]
fn a_votable_that_is_none_is_refused() {
    let row = "<TR><TD>x</TD><TD/><TD/><TD/><TD/></TR>";
    let cases = [
        (votable(&format!("<TABLEDATA>{row}</TABLEDATA>")), "row 1: id is \"x\""),
        (votable("<BINARY><STREAM href='file:///x' encoding='base64'/></BINARY>"), "elsewhere"),
        (
            votable("<BINARY><STREAM encoding='base64'>AAAA</STREAM></BINARY>"),
            "row 1: the data end",
        ),
        (votable("<TABLEDATA><TR>&lol;</TR></TABLEDATA>"), "lol"),
        (
            votable("<TABLEDATA><TR><TD>1</TD><TD/><TD>0.5</TD><TD/></TR></TABLEDATA>"),
            "row 1: fewer cells",
        ),
        (b"<html><body></body></html>".to_vec(), "no VOTable"),
        (votable("<TABLEDATA/></DATA></TABLE><TABLE><DATA>"), "several tables"),
    ];
    for (bytes, words) in cases {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn words_about_a_table_are_short_whatever_it_holds() {
    let long = "x".repeat(70_000);
    let unlike = VOTABLE.replace("datatype='double'", &format!("datatype='{long}'"));
    let row =
        "<TABLEDATA><TR><TD>5</TD><TD>a</TD><TD>0.5</TD><TD>1 2</TD><TD>T</TD></TR></TABLEDATA>";
    let renamed = VOTABLE.replace("name='list'", &format!("name='{long}'"));
    let renamed = renamed.replace("DATA_HERE", row);
    let cell = format!("<TABLEDATA><TR><TD>{long}</TD><TD/><TD/><TD/><TD/></TR></TABLEDATA>");
    for bytes in [unlike.into_bytes(), votable(&cell)] {
        let said = read(&bytes).unwrap_err().to_string();
        assert!(said.len() < 2000 && said.contains("xxx…"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.vot");
    fs::write(&path, renamed).unwrap();
    let table = Table::open(&path).unwrap();
    let said = table.rows(&[3]).err().unwrap().to_string();
    assert!(said.len() < 2000 && said.contains("xxx… holds"), "{said}");
}

/// Every byte of small files changed, one after the other.
#[test]
fn a_damaged_table_is_an_answer_and_never_a_panic() {
    let binary = base64(&binary_row(5, "name", 0.5, b'T'));
    let binary = format!("<BINARY><STREAM encoding='base64'>{binary}</STREAM></BINARY>");
    let mut errors = 0;
    for bytes in [fits()[..5760 + 60].to_vec(), votable(&binary)] {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                errors += usize::from(read(&damaged).is_err());
            }
        }
    }
    assert!(errors > 500, "{errors}");
}

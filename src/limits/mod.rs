//! How much a file may state of itself.
//!
//! A file comes from anywhere, and a few bytes of it can ask for any length,
//! depth, count or product. Whatever is read is held against a limit of this
//! file before anything is allocated, and what passes one is an error in words
//! or a row with its reason. `docs/limits.md` lists all of them, with what
//! raises them where something does; a test holds the two against one another.
//!
//! What a format itself bounds (a JPEG has four components at most) is left to
//! its reader, what a person types to `cli`. [`shortened`] is for what passes a
//! limit and must still be named.

/// Texts of settings: pipelines, recipes, schemas, run folders.
pub mod settings {
    /// Bytes of a pipeline, recipe, schema or rule file. Those of the program
    /// have up to 5 kB.
    pub const TOML: u64 = 1 << 20;
    /// Bytes of a `run.json`, a plan or another JSON file of a run's folder, in
    /// which every input that was named is a line.
    pub const JSON: u64 = 64 << 20;
    /// Bytes of a training run's `metrics.csv`: a line an epoch.
    pub const HISTORY: u64 = 64 << 20;
    /// Rows a part: more would need row groups, and memory a worker, of
    /// gigabytes.
    pub const RANGE: u64 = 1 << 22;
    /// Values of the vector that a run keeps of a row: EfficientNets have up to
    /// 2,560.
    pub const FEATURES: usize = 1 << 16;
    /// Problems of a listing that are kept with their words; the rest are
    /// counted.
    pub const PROBLEMS: usize = 1000;
    /// Levels of parentheses in a condition: deeper than anyone writes, and less
    /// deep than the stack.
    pub const CONDITION_LEVELS: usize = 100;
    /// Models of a recipe. Every way to join the epochs that were kept is scored
    /// at the end: with three of each, 6,561 ways for eight models.
    pub const RECIPE_MODELS: usize = 8;
}

/// Decision trees and classes, of recipes, schemas and model files.
pub mod tree {
    /// Bytes of the name of a question, an answer or a class: names become
    /// columns, file names and lines of tables.
    pub const NAME: usize = 200;
    /// Bytes of a title, and of the name of an answer, which may join those of
    /// classes.
    pub const TITLE: usize = 1000;
    /// Questions of a tree. Galaxy Zoo 2 has 11.
    pub const QUESTIONS: usize = 200;
    /// Answers of a tree, and classes of a table of labels: each is compared
    /// with all others.
    pub const ANSWERS: usize = 1000;
}

/// Tables of cutouts, votes and labels, of every format; lists of paths.
pub mod table {
    /// Columns. The published table of Galaxy Zoo 2 has 231.
    pub const COLUMNS: usize = 20_000;
    /// Bytes to which a gzipped Parquet table may unpack, in a temporary file.
    pub const UNPACKED: u64 = 16 << 30;
    /// Bytes of a row of a CSV file. A quotation mark left open would else take
    /// the rest of the file into one.
    pub const RECORD: usize = 1 << 20;
    /// Lines of comments before the names of the columns.
    pub const COMMENTS: u64 = 100_000;
    /// Bytes of an element, a cell and a row of a VOTable.
    pub const XML_PIECE: usize = 16 << 20;
    /// Bytes of a row of a FITS table. The widest published table has 2 KiB.
    pub const FITS_ROW: u64 = 16 << 20;
    /// HDUs of a FITS file before its table.
    pub const FITS_HDUS: usize = 1000;
    /// Bytes of an identifier.
    pub const ID: usize = 1024;
    /// Bytes of where a cutout is: a path, or an archive's and a member's.
    /// Systems allow 4 KiB for one.
    pub const SOURCE: usize = 16 << 10;
    /// Bytes of a text that is carried into the catalog.
    pub const CARRIED: usize = 64 << 10;
    /// Bytes of rows of a CSV file that are taken up at a time.
    pub const CHUNK: usize = 32 << 20;
    /// Bytes of text of one column of a Parquet table and batch: some thousand
    /// rows, of which each may have a path or a note of a page.
    pub const BATCH_TEXT: usize = 64 << 20;
    /// Rows of a table of labels or votes, which are held in memory. Galaxy Zoo
    /// DESI has 8.7 million.
    pub const LABELS: usize = 20_000_000;
    /// Bytes of a line of a list of paths.
    pub const LINE: u64 = 64 << 10;
    /// Bytes of a list from standard input, which is kept in memory, as it
    /// cannot be read twice.
    pub const STANDARD_INPUT: u64 = 1 << 30;
}

/// What a Parquet file states of its parts.
pub mod parquet {
    /// Bytes of a footer: some hundred for each column of each row group.
    pub const FOOTER: u64 = 64 << 20;
    /// Bytes to which any page may unpack, and any chunk of a column of lists.
    /// Writers make pages of a megabyte, of images much larger ones.
    pub const UNPACKED: u64 = 256 << 20;
    /// Beyond that, bytes for each byte that is in the file. Pixels shrink to a
    /// tenth where they do well.
    pub const RATIO: u64 = 64;
    /// Rows, beside [`RATIO`] for each byte of the file: where no column is read,
    /// as of tables that hold nothing but images, a footer's word is all there is.
    pub const ROWS: u64 = 1 << 20;
    /// Values of a page: as many as Arrow once put into a row group.
    pub const PAGE_VALUES: u64 = 1 << 26;
}

/// Tar archives.
pub mod archive {
    /// Bytes of an extension header (a long name, pax records). GNU tar writes
    /// names up to the system's limit of 4 KiB.
    pub const EXTENSION: u64 = 1 << 20;
    /// How far behind the end mark further members are looked for.
    pub const BEHIND_END: u64 = 1 << 20;
}

/// Cutouts, before and after they are decoded.
pub mod image {
    /// Bytes that one cutout may have, all its bands together. The largest
    /// cutouts that survey services hand out (3000 × 3000 pixels, three bands,
    /// 64-bit floats) have 216 MB.
    pub const BYTES: u64 = 256 << 20;
    /// Pixels of the longest side.
    pub const SIDE: usize = 16_384;
    /// Pixels of a plane: 4,096 × 4,096. Cutout services stop at 3,000 a side,
    /// and an SDSS frame has 2,048 × 1,489.
    pub const PIXELS: usize = 4_096 * 4_096;
    /// Bytes to which a compressed file may unpack: three float planes of
    /// [`PIXELS`] and their headers fit.
    pub const UNPACKED: usize = 256 << 20;
    /// Memory for the ancillary chunks and row buffers of a PNG.
    pub const PNG_WORKING: usize = 64 << 20;
    /// Scans of a JPEG. Libraries write up to 10 in a progressive one (four
    /// components: 16); each passes over the whole image, so thousands of empty
    /// ones would keep a worker busy for minutes.
    pub const JPEG_SCANS: usize = 100;
}

/// Mosaics: large images of which parts are read.
pub mod mosaic {
    /// Pixels of the longest side. Euclid's tiles have 19,200.
    pub const SIDE: usize = 1 << 20;
    /// Pixels of a plane, of which only parts are ever held.
    pub const PIXELS: usize = 1 << 36;
    /// Bytes of decoded parts that are kept for the next cutouts.
    pub const KEPT: usize = 256 << 20;
    /// Bytes of packed mosaics (`.gz`, `.bz2`), which are held unpacked.
    pub const UNPACKED: usize = 256 << 20;
    /// Rows of a table of sources, which is held in memory to be put in order.
    pub const SOURCES: usize = 50_000_000;
    /// Pixels of a cutout's side in its mosaic: objects are no larger.
    pub const WINDOW: usize = 4_096;
}

/// FITS files.
pub mod fits {
    /// Records of a header. Those of the surveys have up to a few hundred; a
    /// processing history makes thousands.
    pub const CARDS: usize = 36_000;
    /// HDUs that are looked at. A cutout has one a band, with a mask and a
    /// weight for each at worst.
    pub const HDUS: usize = 100;
    /// Axes of an image: two on the sky, one for bands, and degenerate ones.
    pub const AXES: i64 = 9;
    /// Planes of a cube.
    pub const PLANES: usize = 99;
    /// Columns of a table of tiles: as many as the standard allows.
    pub const COLUMNS: i64 = 999;
    /// Parameters of a compression that are looked at.
    pub const PARAMETERS: usize = 9;
    /// Values of a block of RICE; encoders take 16 or 32.
    pub const RICE_BLOCK: i64 = 65_536;
    /// Order of a SIP polynomial: the convention's own bound.
    pub const SIP_ORDER: usize = 9;
}

/// Model files, and weights of others.
pub mod model {
    /// Bytes of a model file or of weights, which are read as a whole. B7 twice
    /// in f32 is 0.5 GB.
    pub const FILE: u64 = 4 << 30;
    /// Bytes of the header of a safetensors file. That of
    /// two networks B1 has 95 kB.
    pub const HEADER: u64 = 16 << 20;
    /// Networks. More than a tree has questions make no sense, and each is
    /// memory.
    pub const NETWORKS: usize = 64;
    /// Bytes of the text of a model card. A page has 3,000.
    pub const CARD: u64 = 64 << 10;
    /// Bytes of the pickle of a checkpoint; B7's is half a megabyte.
    pub const PICKLE: u64 = 64 << 20;
    /// Objects of a pickle. B7's has some 30,000.
    pub const OBJECTS: usize = 1 << 22;
    /// References between them, and entries of the memo.
    pub const REFERENCES: usize = 1 << 23;
    /// Values of a network, and of all tensors of a checkpoint together, and an eighth of the bytes
    /// of one storage: 1 GiB in f32. B7 has 66 million values; views of one storage,
    /// or with strides of zero, could ask for any number.
    pub const VALUES: usize = 1 << 28;
    /// How deep the weights of a checkpoint may lie, and how many wrappers a
    /// tensor may have.
    pub const DEPTH: usize = 4;
    /// Axes of a tensor: PyTorch's own limit.
    pub const AXES: usize = 64;
}

/// What is written and shown.
pub mod output {
    /// Bytes of `error` in a row: a damaged file may have put anything into the
    /// detail of its rejection.
    pub const ERROR: usize = 1024;
    /// Bytes of a text beyond which a format whose cells are as wide as the
    /// widest cuts it.
    pub const CELL: usize = 1024;
    /// Names of columns that a message lists.
    pub const NAMES: usize = 8;
    /// Bytes of a foreign text that a message quotes.
    pub const QUOTED: usize = 200;
}

/// The beginning of a text that has more than `most` bytes, with a mark that
/// there was more; otherwise the text.
pub fn shortened(text: &str, most: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)]).into()
}

/// The first of some names, for messages.
pub fn few<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(output::NAMES);
    let shown: Vec<_> = shown.map(|name| shortened(name.as_ref(), output::QUOTED)).collect();
    let mut words = shown.join(", ");
    if names.len() > output::NAMES {
        words.push_str(&format!(" and {} more", names.len() - output::NAMES));
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_marked() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "abc…");
        assert_eq!(shortened("ééé", 3), "é…");
        assert_eq!(few(&["a", "b"]), "a, b");
        let many: Vec<String> = (0..300_000).map(|n| n.to_string()).collect();
        assert_eq!(few(&many), "0, 1, 2, 3, 4, 5, 6, 7 and 299992 more");
        assert!(few(&["x".repeat(1 << 20)]).len() < 300);
    }

    /// Every limit is a row of the page, with its value, and every row a limit.
    #[test]
    fn the_page_lists_every_limit_with_its_value() {
        let page = include_str!("../../docs/limits.md");
        let mut own = BTreeSet::new();
        let mut room = "";
        for line in include_str!("mod.rs").lines() {
            if let Some(name) = line.strip_prefix("pub mod ") {
                room = name.trim_end_matches(" {");
            }
            let Some(rest) = line.strip_prefix("    pub const ") else { continue };
            let (name, rest) = rest.split_once(": ").expect("a type");
            let (_, value) = rest.split_once(" = ").expect("a value");
            own.insert((format!("{room}::{name}"), value.trim_end_matches(';').replace('_', "")));
        }
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            let value = cells.next()?.trim_matches('`').replace(',', "");
            Some((name, value))
        });
        let rows: BTreeSet<_> = rows.collect();
        assert!(own.len() > 40, "{}", own.len());
        assert_eq!(rows, own);
    }
}

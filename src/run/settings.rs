//! What decides a run's result, and how it is pinned in `run.json`.
//!
//! Invariant: the same settings and the same listing give the same bytes,
//! whichever process writes them and whenever: sorted keys, no times, no names
//! of machines. The SHA-256 of those bytes names the run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::CatalogError;
use crate::engine::Precision;
use crate::model::model_file::Model;
use crate::storage::digest::sha256;
use crate::tree::{Scheme, Stage2};

/// Ranges larger than this would need row groups, and memory a worker, of
/// gigabytes.
const LARGEST_RANGE: u64 = 1 << 22;

/// Everything that decides the result and is known before the inputs are
/// listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program's version.
    pub version: String,
    /// The inputs as they were named, as absolute paths.
    pub inputs: Vec<String>,
    /// How the files of one cutout's bands are named.
    pub band_pattern: Option<String>,
    /// The bands, in the order that maps to R, G, B.
    pub bands: Vec<String>,
    /// The column of tables that holds ids, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of tables that holds images, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_column: Option<String>,
    /// The tables' columns that the catalog carries.
    pub carry: Vec<String>,
    /// The model.
    pub model: ModelIdentity,
    /// How cutouts become the network's input: size, RGB profile with its
    /// parameters, resampling.
    pub preparation: Value,
    /// Which rows networks after the first see.
    pub stage2: Stage2,
    /// How the networks hold and multiply numbers.
    pub precision: Precision,
    /// Rows a range.
    pub range_size: u64,
}

/// Which model classifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// SHA-256 of the model file.
    pub digest: String,
    /// Its name, for a person.
    pub name: String,
    /// Whether its weights come from a random generator.
    pub untrained: bool,
    /// What it answers; `None` for HIWL's tree, of which a catalog is that does
    /// not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

impl ModelIdentity {
    /// That of the model which was read from `path`.
    pub fn of(model: &Model, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let scheme = &model.description.scheme;
        Self {
            digest: model.digest.clone().unwrap_or_default(),
            name: name.to_string_lossy().into_owned(),
            untrained: model.description.untrained,
            scheme: (!scheme.is_hiwl()).then(|| scheme.clone()),
        }
    }

    /// What it answers.
    pub fn scheme(&self) -> Scheme {
        self.scheme.clone().unwrap_or_else(Scheme::hiwl)
    }
}

/// What the listing found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Cutouts, each a row of the catalog.
    pub rows: u64,
    /// Digest of the rows' content.
    pub digest: String,
    /// Files that were passed over because they are no cutouts.
    pub skipped: u64,
    /// What was wrong with an input as a whole, such as a truncated archive.
    pub problems: Vec<String>,
    /// Identifiers that more than one row has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated_ids: u64,
    /// Bytes of the archives and tables that hold cutouts, by path: of another
    /// size, an archive is another one, and its members lie elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<String, u64>,
    /// Folders among the inputs that were not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Folders in which cutouts lie that are files: not all of very many, but
    /// every place where a disk is mounted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What was asked for.
    pub settings: Settings,
    /// What was found.
    pub listing: Listing,
}

/// A setting in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, such as `preparation.size`.
    pub field: String,
    /// Its value in the folder.
    pub there: String,
    /// The value asked for.
    pub asked: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field, self.there, self.asked)
    }
}

impl Settings {
    /// Refuses what no run can have.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        if (1..=LARGEST_RANGE).contains(&self.range_size) {
            return Ok(());
        }
        Err(CatalogError::BadSetting(format!(
            "a range of {} rows is not possible: from 1 to {LARGEST_RANGE}",
            self.range_size
        )))
    }

    /// In what `self`, found in a folder, differs from what is `asked` for.
    ///
    /// The model's name is for a person: the same weights under another are the
    /// same model.
    pub(crate) fn differences(&self, asked: &Self) -> Vec<Difference> {
        let mut asked = asked.clone();
        asked.model.name.clone_from(&self.model.name);
        differences(&json(self), &json(&asked))
    }
}

/// In what two values of [`json`] differ.
pub(crate) fn differences(there: &Value, asked: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", there, asked, &mut found);
    found
}

impl Manifest {
    /// The bytes of `run.json`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{:#}", json(self));
        text.push('\n');
        text.into_bytes()
    }

    /// The manifest in these bytes, and its digest: the SHA-256 of the bytes
    /// in hexadecimal, as `sha256sum run.json` prints it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, String), serde_json::Error> {
        Ok((serde_json::from_slice(bytes)?, sha256(bytes)))
    }

    /// The settings as one line of JSON for the footers of parts. Of a long
    /// list of inputs only the beginning: `run.json` has it whole.
    pub(crate) fn footer_settings(&self) -> String {
        const INPUTS: usize = 16;
        let mut settings = self.settings.clone();
        let more = settings.inputs.len().saturating_sub(INPUTS);
        if more > 0 {
            settings.inputs.truncate(INPUTS);
            settings.inputs.push(format!("… and {more} more"));
        }
        json(&settings).to_string()
    }
}

/// A value as JSON with sorted keys, and its numbers as they are read back:
/// serde_json's reading of a float may differ in the last bit from what was
/// written, and two sides that are compared must both have gone that way.
pub(crate) fn json(value: &impl Serialize) -> Value {
    let written = serde_json::to_string(value)
        .expect("settings are strings, numbers and lists, which all have a JSON form");
    let read = serde_json::from_str(&written).expect("serde_json reads what it wrote");
    sorted(read)
}

/// Keys in their order, whether or not some crate has switched serde_json to
/// keeping the order of insertion.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn compare(field: &str, there: &Value, asked: &Value, found: &mut Vec<Difference>) {
    if there == asked {
        return;
    }
    if let (Value::Object(a), Value::Object(b)) = (there, asked) {
        let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let name = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let of = |map: &'_ Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
            compare(&name, &of(a), &of(b), found);
        }
        return;
    }
    found.push(Difference {
        field: in_words(field),
        there: value_in_words(there),
        asked: value_in_words(asked),
    });
}

fn in_words(field: &str) -> String {
    match field {
        "version" => "program version".into(),
        "band_pattern" => "band pattern".into(),
        "image_column" => "column of images".into(),
        "carry" => "carried columns".into(),
        "stage2" => "stage 2".into(),
        "range_size" => "rows a range".into(),
        other => other.replace(['_', '.'], " "),
    }
}

fn value_in_words(value: &Value) -> String {
    /// Longer values are cut: two long lists are not told apart by reading.
    const LONGEST: usize = 200;
    let words = match value {
        Value::Null => "none".into(),
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => values.iter().map(value_in_words).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        other => other.to_string(),
    };
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn settings(range_size: u64) -> Settings {
        Settings {
            version: "0.1.0".into(),
            inputs: vec!["/data/galaxies".into()],
            band_pattern: None,
            bands: vec!["i".into(), "r".into(), "g".into()],
            id_column: None,
            image_column: None,
            carry: Vec::new(),
            model: ModelIdentity {
                digest: "ab".repeat(32),
                name: "B1".into(),
                untrained: false,
                scheme: None,
            },
            preparation: json!({"size": 240, "rgb": {"name": "lupton", "q": 8.0, "stretch": 0.1}}),
            stage2: Stage2::Routed,
            precision: Precision::F32,
            range_size,
        }
    }

    fn manifest() -> Manifest {
        let listing = Listing {
            rows: 7,
            digest: "cd".repeat(32),
            skipped: 1,
            problems: vec!["é".into()],
            ..Listing::default()
        };
        Manifest { settings: settings(3), listing }
    }

    #[test]
    fn the_bytes_do_not_depend_on_how_the_value_was_made() {
        let mut other = manifest();
        other.settings.preparation =
            json!({"rgb": {"stretch": 0.1, "q": 8.0, "name": "lupton"}, "size": 240});
        assert_eq!(manifest().to_bytes(), other.to_bytes());
        let (read, digest) = Manifest::from_bytes(&manifest().to_bytes()).unwrap();
        assert_eq!(read, manifest());
        assert_eq!(read.to_bytes(), manifest().to_bytes());
        assert_eq!(digest, sha256(&manifest().to_bytes()));
    }

    /// Runs of before there were other trees go on, byte for byte; others say
    /// what their columns are.
    #[test]
    fn hiwl_is_not_named_and_every_other_tree_is() {
        let hiwl = settings(3).model;
        assert!(!json(&hiwl).to_string().contains("scheme"));
        assert!(hiwl.scheme().is_hiwl());
        let outputs = [vec!["a".to_owned()], vec!["b".to_owned()]];
        let scheme = Scheme::combined(None, &[("single", &outputs)]).unwrap();
        let mut other = settings(3);
        other.model.scheme = Some(scheme.clone());
        let manifest = Manifest { settings: other.clone(), listing: Listing::default() };
        let (read, _) = Manifest::from_bytes(&manifest.to_bytes()).unwrap();
        assert_eq!(read.settings.model.scheme(), scheme);
        assert!(read.settings.differences(&other).is_empty());
        assert!(!read.settings.differences(&settings(3)).is_empty());
    }

    /// A `run.json` of before there were other trees.
    #[test]
    fn a_run_of_before_is_hiwls_and_is_written_back_as_it_was() {
        let model = json!({ "digest": "73d4", "name": "hiwl-b1.safetensors", "untrained": false });
        let old = json!({
            "settings": {
                "version": "0.1.0", "inputs": ["/data"], "band_pattern": "{id}_{band}.fits",
                "bands": ["i", "r", "g"], "carry": [], "model": &model, "preparation": {},
                "stage2": "routed", "precision": "bf16", "range_size": 16384,
            },
            "listing": { "rows": 60, "digest": "7ae1", "skipped": 1, "problems": [] },
        });
        let (manifest, _) = Manifest::from_bytes(old.to_string().as_bytes()).unwrap();
        assert!(manifest.settings.model.scheme().is_hiwl());
        let again: Value = serde_json::from_slice(&manifest.to_bytes()).unwrap();
        assert_eq!(again["settings"]["model"], model);
        assert_eq!(again["settings"]["stage2"], "routed");
    }

    #[test]
    fn floats_of_any_kind_survive_a_resume() {
        for value in
            [0.1, 1.0 / 3.0, 5e-324, 1.797_693_134_862_315_7e308, 2.225_073_858_507_201e-308]
        {
            let mut asked = manifest();
            asked.settings.preparation = json!({ "stretch": value });
            let (there, _) = Manifest::from_bytes(&asked.to_bytes()).unwrap();
            assert_eq!(there.settings.differences(&asked.settings), [], "{value}");
        }
    }

    #[test]
    fn each_difference_is_named_with_both_values() {
        let there = settings(3);
        let mut asked = settings(4);
        asked.model.digest = "00".repeat(32);
        asked.preparation["rgb"]["q"] = json!(10.0);
        asked.carry = vec!["z".into(), "mag".into()];
        let found: Vec<String> =
            there.differences(&asked).iter().map(Difference::to_string).collect();
        assert_eq!(
            found,
            [
                "carried columns: none → z, mag".to_owned(),
                format!("model digest: {} → {}", "ab".repeat(32), "00".repeat(32)),
                "preparation rgb q: 8.0 → 10.0".to_owned(),
                "rows a range: 3 → 4".to_owned(),
            ]
        );
        asked = there.clone();
        asked.model.name = "a copy of B1".into();
        assert_eq!(there.differences(&asked), []);
    }

    #[test]
    fn a_footer_does_not_repeat_a_hundred_thousand_inputs() {
        let mut manifest = manifest();
        manifest.settings.inputs = (0..100_000).map(|i| format!("/data/{i}.jpg")).collect();
        let settings = manifest.footer_settings();
        assert!(settings.len() < 2_000 && settings.contains("and 99984 more"), "{settings}");
    }

    #[test]
    fn a_range_has_a_bounded_number_of_rows() {
        assert!(settings(1).check().is_ok() && settings(LARGEST_RANGE).check().is_ok());
        assert!(settings(0).check().is_err() && settings(LARGEST_RANGE + 1).check().is_err());
    }
}
